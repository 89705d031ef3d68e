"""Expected types of a system's JSON fields, and their mapping to task fields.

A value of another type is ignored: the known value is kept, and the unreadable value is counted and
shown with its account.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.flags import flag
from service.domain.written_dates import is_date
from service.sources.values import first_reference, labels, references, sequence

_LONGEST_EXAMPLE = 40
_NOTHING = frozenset[str]()


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Form:
    """The expected type of a value, and the fields of a `Task` that it provides.

    The main one comes first. A field without any still counts as unreadable. `said` selects the
    part of the value to show. `of` is the field, if the form is that of a part of it.
    """

    fits: Callable[[Any], bool]
    fills: tuple[str, ...]
    said: Callable[[Any], Any] = _itself
    of: str = ""


def a_date(*fills: str) -> Form:
    return Form(is_date, fills)


def a_flag(*fills: str) -> Form:
    return Form(lambda value: flag(value) is not None, fills)


def a_text(*fills: str) -> Form:
    return Form(lambda value: isinstance(value, str), fills)


def an_object(*fills: str) -> Form:
    return Form(lambda value: not value or isinstance(value, dict), fills)


def objects(*fills: str) -> Form:
    return Form(_are_objects, fills)


def unread(raw: Mapping[str, Any], forms: Mapping[str, Form]) -> dict[str, str]:
    """The fields of `raw` whose values have an unexpected type, each with the value, for people."""
    found = {}
    for name, form in forms.items():
        value = raw.get(form.of or name)
        if value is not None and not form.fits(value):
            found[name] = _example(form.said(value))
    return found


def people(key: str, names: Iterable[str], *fills: str) -> Form:
    """People and things with at least one field of these names, `key` being that of their ids."""
    known = frozenset({key, *names})
    return Form(lambda value: all(known & one.keys() for one in references(value, key)), fills)


def parts(of: str, checks: Mapping[str, Callable[[Any], bool]]) -> dict[str, Form]:
    """The forms of parts of an object, if they are there, such as of `customer.tags`."""
    return {f"{of}.{name}": _part(of, name, fits) for name, fits in checks.items()}


def _part(of: str, name: str, fits: Callable[[Any], bool]) -> Form:
    def is_as_expected(value: Any) -> bool:
        one = first_reference(value)
        return name not in one or fits(one[name])

    return Form(is_as_expected, (), lambda value: first_reference(value)[name], of)


def are_labels(value: Any) -> bool:
    """Whether a value has the names of tags or groups."""
    return labels(value) is not None


def left_open(raw: Mapping[str, Any], fills: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """The task fields that `raw` leaves open; `fills` has the task fields of each JSON field."""
    lacking = fills.keys() - raw.keys()
    return _NOTHING.union(*(fills[field] for field in lacking)) if lacking else _NOTHING


def _are_objects(value: Any) -> bool:
    found = [] if not value else sequence(value)
    return found is not None and all(isinstance(one, dict) for one in found)


def _example(value: Any) -> str:
    """A value as a person would recognise it. PostgreSQL cannot store NUL."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return repr(value[:_LONGEST_EXAMPLE]).replace("\0", "")
    return str(value)[:_LONGEST_EXAMPLE]
