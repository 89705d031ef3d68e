"""Discovers systems, channels and emulations, each of which is a module or package of its own."""

import importlib
import pkgutil
from collections.abc import Iterator
from inspect import isabstract
from typing import TypeVar

Plugin = TypeVar("Plugin")


def find(package: str, base: type[Plugin]) -> Iterator[tuple[str, type[Plugin]]]:
    """Every class below `base` that a module of the package defines, with the module's name.

    A subpackage counts as a module, with the classes that its `__init__` defines. An abstract class
    is not one of them: others derive from it.
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        defined = importlib.import_module(f"{package}.{module.name}")
        for thing in vars(defined).values():
            is_plugin = (
                isinstance(thing, type) and issubclass(thing, base) and not isabstract(thing)
            )
            if is_plugin and thing.__module__ == defined.__name__:
                yield module.name, thing
