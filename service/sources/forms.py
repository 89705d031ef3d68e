"""What form the fields of a system's JSON have, and what of a task each of them tells.

A value of another form says nothing: what it would tell stays as it was known, and is counted with
its account, so that somebody hears of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.flags import flag
from service.domain.written_dates import is_date
from service.sources.values import sequence

_LONGEST_EXAMPLE = 40
_NOTHING = frozenset[str]()


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Form:
    """Whether a value that is there can be read, and the fields of a `Task` that it gives.

    The main one comes first. Where it gives none, it counts for something all the same. `said` is
    what of it is in question.
    """

    fits: Callable[[Any], bool]
    tells: tuple[str, ...]
    said: Callable[[Any], Any] = _itself


def a_date(*tells: str) -> Form:
    return Form(is_date, tells)


def a_flag(*tells: str) -> Form:
    return Form(lambda value: flag(value) is not None, tells)


def a_text(*tells: str) -> Form:
    return Form(lambda value: isinstance(value, str), tells)


def an_object(*tells: str) -> Form:
    return Form(lambda value: not value or isinstance(value, dict), tells)


def objects(*tells: str) -> Form:
    return Form(_are_objects, tells)


def unread(raw: Mapping[str, Any], forms: Mapping[str, Form]) -> dict[str, str]:
    """The fields of `raw` whose values are of no known form, each with its value as an example."""
    found = {}
    for name, form in forms.items():
        value = raw.get(name)
        if value is not None and not form.fits(value):
            found[name] = _example(form.said(value))
    return found


def left_open(raw: Mapping[str, Any], tells: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """What of a task is told by fields that `raw` lacks; `tells` says what each of them tells."""
    lacking = tells.keys() - raw.keys()
    return _NOTHING.union(*(tells[field] for field in lacking)) if lacking else _NOTHING


def _are_objects(value: Any) -> bool:
    found = [] if not value else sequence(value)
    return found is not None and all(isinstance(one, dict) for one in found)


def _example(value: Any) -> str:
    """A value as a person would recognise it. PostgreSQL takes no NUL."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return repr(value[:_LONGEST_EXAMPLE]).replace("\0", "")
    return str(value)[:_LONGEST_EXAMPLE]
