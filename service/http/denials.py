"""Answers that say no with a status that says yes: 200, and `{"success": false, "error": …}`."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.flags import flag

_DONE = ("success", "ok", "sent", "delivered")
_WRONG = ("error", "errors")
_STATES = ("status", "result", "type")
_FAILED = frozenset({"error", "errors", "fail", "failed", "failure"})
_ENVELOPES = ("data", "task", "notification", "result", "response")
_IDS = ("id", "uuid")


def is_denied(answer: Any) -> bool:
    """Whether the JSON of an answer says that what was asked was not done."""
    return any(_says_no(part) for part in _parts(answer))


def words(value: Any) -> str:
    """What an answer says for itself, as one text."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {words(one)}" for name, one in value.items() if one)
    if isinstance(value, list):
        return "; ".join(words(one) for one in value if one)
    return str(value)


def _parts(answer: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(answer, dict):
        yield answer
        yield from (answer[name] for name in _ENVELOPES if isinstance(answer.get(name), dict))


def _says_no(part: Mapping[str, Any]) -> bool:
    if any(name in part and flag(part[name]) is False for name in _DONE):
        return True
    if any(_is_something(part.get(name)) for name in _WRONG):
        return True
    # Of a task it is how the task stands.
    is_a_thing = any(name in part for name in _IDS)
    states = (part.get(name) for name in _STATES)
    return not is_a_thing and any(_is_failed(state) for state in states)


def _is_failed(state: Any) -> bool:
    return isinstance(state, str) and state.strip().casefold() in _FAILED


def _is_something(value: Any) -> bool:
    """Whether anything is said, at whatever depth; `{"base": []}` says nothing."""
    if isinstance(value, dict):
        return any(_is_something(one) for one in value.values())
    if isinstance(value, list):
        return any(_is_something(one) for one in value)
    return bool(value)
