"""Finds what is added as a file or folder of its own: systems, channels, emulations."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import TypeVar

Plugin = TypeVar("Plugin")


def find(package: str, base: type[Plugin]) -> Iterator[tuple[str, type[Plugin]]]:
    """Every class below `base` that a module of the package defines, with the module's name.

    Of a package inside it, that is what its `__init__` defines.
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        defined = importlib.import_module(f"{package}.{module.name}")
        for thing in vars(defined).values():
            is_plugin = isinstance(thing, type) and issubclass(thing, base) and thing is not base
            if is_plugin and thing.__module__ == defined.__name__:
                yield module.name, thing
