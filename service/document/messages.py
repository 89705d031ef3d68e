"""Error messages for values, worded in the same way everywhere."""

import re
from typing import Any

from pydantic_core import ErrorDetails

from service.diagnostics import Path

_SHORT = 40  # characters of a value that are shown

NO_VALUE = "has no value"
SETTINGS = "a group of keys (key: value)"
DASHES = "start each item on its own line with a dash (- )"
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "time_delta_type": "a duration such as 30m, 2h or 1 day",
    "time_delta_parsing": "a duration such as 30m, 2h or 1 day",
    "time_type": 'a time of day such as "17:00"',
    "time_parsing": 'a time of day such as "17:00"',
    "ip_any_network": "a network such as 10.0.0.0/8",
    "ip_v4_network": "a network such as 10.0.0.0/8",
    "ip_v6_network": "a network such as 10.0.0.0/8",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": SETTINGS,
    "model_type": SETTINGS,
    "model_attributes_type": SETTINGS,
    "mapping_type": SETTINGS,
}
_CHOICES = frozenset({"literal_error", "enum"})
_NUMBER = re.compile(r"\d|number")
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}


def must_be(name: str, wanted: str, value: Any) -> str:
    """The message for a value of the wrong type: `text must be text, not the number 3`."""
    if value is None:
        return f"{name} {NO_VALUE}"
    return f"{name} must be {wanted}, not {_found(value, wanted)}"


def _found(value: Any, wanted: str) -> str:
    """The actual value. It is omitted for a number where a number is expected."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value) if _NUMBER.search(wanted) else f"the number {value}"
    if isinstance(value, list):
        return "a list"
    return SETTINGS if isinstance(value, dict) else shortened(str(value))


def sentence(name: str, detail: ErrorDetails) -> str:
    """Pydantic's message about a value, in the terms of a configuration."""
    kind = detail["type"]
    if kind in _WANTED or kind in _CHOICES:
        return must_be(name, _WANTED.get(kind) or _choices(detail), detail["input"])
    if kind in {"too_short", "string_too_short"}:
        return f"{name} is empty"
    if kind == "value_error":
        said = detail["msg"].removeprefix("Value error, ")
        return f"{name} {said}" if said.startswith("must ") else said
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        return f"{name} must be {word} {detail['ctx'][key]:g}, not {detail['input']}"
    if kind == "string_pattern_mismatch":
        return f"{shortened(str(detail['input']))} cannot be the {name}"
    return f"{name}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _choices(detail: ErrorDetails) -> str:
    return str(detail["ctx"]["expected"]).replace("'", "").replace("True", "true")


def line(name: str, detail: ErrorDetails) -> str:
    """Pydantic's message about a value outside of a configuration, with what to write instead."""
    context = detail.get("ctx", {})
    if detail["type"] == "value_error":
        return f"{name}: {detail['msg'].removeprefix('Value error, ')}"
    if detail["type"] != "refused":
        return sentence(name, detail)
    hint = context["hint"]
    return f"{name}: {context['message']}" + (f"; {hint}" if hint else "")


def name_of(path: Path) -> str:
    """The name of the place for people: its own name, or that of the list it is in."""
    names = [part for part in path if isinstance(part, str)]
    return names[-1] if names else "the configuration"


def shortened(text: str) -> str:
    """A value in quotes, on one line and not too long."""
    line = " ".join(text.split())
    return f'"{line[:_SHORT]}…"' if len(line) > _SHORT else f'"{line}"'
