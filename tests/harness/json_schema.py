"""As much of JSON Schema (draft 2020-12) as the configuration uses, and no keyword more."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "null": lambda value: value is None,
}
_SAYING = {
    *("$schema", "$defs", "title", "description", "default", "examples"),
    *("format", "writeOnly"),
}


def faults(value: Any, schema: Json, root: Json, at: str = "") -> Iterator[str]:
    """What of the value the schema does not allow; KeyError for a keyword not known here."""
    for keyword, wanted in schema.items():
        if keyword not in _SAYING:
            yield from _KEYWORDS[keyword](value, wanted, schema, root, at)


def _ref(value: Any, wanted: str, _: Json, root: Json, at: str) -> Iterator[str]:
    target: Any = root
    for part in wanted.removeprefix("#/").split("/"):
        target = target[part]
    yield from faults(value, target, root, at)


def _type(value: Any, wanted: str | list[str], _: Json, __: Json, at: str) -> Iterator[str]:
    names = [wanted] if isinstance(wanted, str) else wanted
    if not any(_TYPES[name](value) for name in names):
        yield f"{at} is no {' or '.join(names)}"


def _enum(value: Any, wanted: list[Any], _: Json, __: Json, at: str) -> Iterator[str]:
    if value not in wanted:
        yield f"{at} is none of {wanted}"


def _const(value: Any, wanted: Any, _: Json, __: Json, at: str) -> Iterator[str]:
    if value != wanted:
        yield f"{at} is not {wanted}"


def _any_of(value: Any, wanted: list[Json], _: Json, root: Json, at: str) -> Iterator[str]:
    found = [list(faults(value, one, root, at)) for one in wanted]
    if all(found):
        yield from min(found, key=len)


def _properties(value: Any, wanted: Json, _: Json, root: Json, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name in wanted.keys() & value.keys():
            yield from faults(value[name], wanted[name], root, f"{at}.{name}")


def _others(value: Any, wanted: Any, schema: Json, root: Json, at: str) -> Iterator[str]:
    if not isinstance(value, dict) or wanted is True:
        return
    for name in value.keys() - schema.get("properties", {}).keys():
        if wanted is False:
            yield f"{at}.{name} is not known"
        else:
            yield from faults(value[name], wanted, root, f"{at}.{name}")


def _required(value: Any, wanted: list[str], _: Json, __: Json, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{at}.{name} is missing" for name in wanted if name not in value)


def _items(value: Any, wanted: Json, _: Json, root: Json, at: str) -> Iterator[str]:
    if isinstance(value, list):
        for position, one in enumerate(value):
            yield from faults(one, wanted, root, f"{at}[{position}]")


def _pattern(value: Any, wanted: str, _: Json, __: Json, at: str) -> Iterator[str]:
    if isinstance(value, str) and not re.search(wanted, value):
        yield f"{at} does not match {wanted}"


def _bound(fits: Callable[[Any, Any], bool], kinds: Any) -> Callable[..., Iterator[str]]:
    def check(value: Any, wanted: Any, _: Json, __: Json, at: str) -> Iterator[str]:
        if isinstance(value, kinds) and not fits(value, wanted):
            yield f"{at} is out of bounds"

    return check


_KEYWORDS: Mapping[str, Callable[..., Iterator[str]]] = {
    "$ref": _ref,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "anyOf": _any_of,
    "properties": _properties,
    "additionalProperties": _others,
    "required": _required,
    "items": _items,
    "pattern": _pattern,
    "minItems": _bound(lambda value, least: len(value) >= least, list),
    "minLength": _bound(lambda value, least: len(value) >= least, str),
    "maxLength": _bound(lambda value, most: len(value) <= most, str),
    "minimum": _bound(lambda value, least: value >= least, int | float),
    "maximum": _bound(lambda value, most: value <= most, int | float),
}
