"""The fields that rules write to tasks: translated into a system's own, and read back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import normalize

from service.domain.model import DAYS, Task
from service.errors import SourceRejected
from service.sources.reader import Raw
from service.sources.values import LONGEST_LINE, LONGEST_PROSE, local

_DATES = frozenset({"due", "start", "end"})
_PROSE = frozenset({"description"})
# Two tasks are distinguished by these; the other fields are reworded by some systems.
_TELLING = ("title", "due", "start", "end", "project", "customer", "assignee")
_DAY = timedelta(days=1)
_ROUNDED = timedelta(minutes=1)


def translated(system: str, fields: Mapping[str, Any], words: Mapping[str, str]) -> Raw:
    """The fields under the system's own names; raises SourceRejected for unsupported ones."""
    unknown = fields.keys() - words.keys()
    if unknown:
        raise SourceRejected(f"{system}: a task has no {', '.join(sorted(unknown))} to set")
    return {words[word]: value for word, value in fields.items()}


def shows(task: Task, fields: Mapping[str, Any]) -> bool:
    """Whether a task has the values of these written fields.

    Dates are compared to the second, days to the day.
    """
    return all(
        _shown(task, word) == _plain(value, word) or _is_on_day(task, word, value)
        for word, value in fields.items()
    )


def may_be(task: Task, fields: Mapping[str, Any]) -> bool:
    """Whether a task may have been created with these fields: no visible value contradicts them.

    Systems round times to the minute and collapse spaces.
    """
    told = [word for word in _TELLING if word in fields and _shown(task, word)]
    return all(
        _is_near(_shown(task, word), _plain(fields[word], word))
        or _is_on_day(task, word, fields[word])
        for word in told
    )


def _is_on_day(task: Task, word: str, value: Any) -> bool:
    """Whether a time was written to a field of which the system stores only the day."""
    shown, wanted = _shown(task, word), _plain(value, word)
    if word not in _DATES or shown is None or wanted is None or not getattr(task, DAYS[word]):
        return False
    return bool(abs(shown - wanted) < _DAY)


def _is_near(shown: Any, wanted: Any) -> bool:
    if isinstance(shown, datetime) and isinstance(wanted, datetime):
        return abs(shown - wanted) < _ROUNDED
    return bool(shown == wanted)


def _shown(task: Task, word: str) -> Any:
    value = getattr(task, word)
    return _plain(getattr(value, "id", value), word)


def _plain(value: Any, word: str) -> Any:
    if word in _DATES and value is not None:
        return local(value, UTC).replace(microsecond=0)
    if not isinstance(value, str):
        return value
    # Of what was cut when it was read, the beginning is compared.
    longest = LONGEST_PROSE if word in _PROSE else LONGEST_LINE
    return normalize("NFC", " ".join(value[: longest - 1].split()))
