"""The JSON Schema of `when:`."""

from typing import Any, TypeAlias

from service.domain.durations import REMINDER_PATTERN
from service.rules.triggers import ANCHORS, CLOCK, FIELDS, KINDS, SCHEDULE, SIGNAL
from service.sources.values import LONGEST_ID

Json: TypeAlias = dict[str, Any]

_LENGTH = {
    "type": "string",
    "pattern": REMINDER_PATTERN,
    "examples": ["30m", "1 day", "1 business day"],
}
_TIME = {"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$", "examples": ["16:00"]}
_ALWAYS_WITH_LENGTH = frozenset({"task.due_soon", "task.starting_soon"})


def trigger() -> Json:
    """An event by its name, or one with its parameters."""
    names = sorted({*KINDS, *CLOCK} - _ALWAYS_WITH_LENGTH)
    changes = [_one(name, _fields(known)) for name, known in FIELDS.items()]
    bells = [_one(name, _LENGTH) for name in CLOCK]
    reminders = [_reminder("before"), _reminder("after")]
    signal = _one(SIGNAL, {"type": ["string", "integer"], "maxLength": LONGEST_ID, "minLength": 1})
    schedule = _one(SCHEDULE, {"type": "string", "examples": ["30 7 * * 1-5"]})
    return {"anyOf": [{"enum": names}, *changes, *bells, *reminders, signal, schedule]}


def _one(name: str, value: Json) -> Json:
    return _group({name: value}, [name])


def _fields(known: tuple[str, ...]) -> Json:
    return {"type": "array", "items": {"enum": list(known)}, "minItems": 1}


def _reminder(direction: str) -> Json:
    dates = [*ANCHORS, *(f"task.{anchor}" for anchor in ANCHORS)]
    custom = {
        "type": "string",
        "pattern": r"^(task\.)?fields[.\[]",
        "examples": ["task.fields.renewal"],
    }
    date = {"anyOf": [{"enum": dates}, custom]}
    group = _group({direction: date, "by": _LENGTH, "at": _TIME}, [direction])
    return {**group, "anyOf": [{"required": ["by"]}, {"required": ["at"]}]}


def _group(properties: Json, required: list[str]) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
