"""The dates of a task that can be counted from: its own, and those in the account's custom fields.

A custom field is named `fields.renewal`, by its name in `task.fields`. It has the value that the
account's people wrote: a date in a form that `written_dates` knows, or something else, which is not
a date.
"""

from datetime import datetime, tzinfo
from typing import Any

from service.domain import written_dates
from service.domain.model import DAYS, Task

FIELDS = "fields."


def value_of(task: Task, name: str) -> Any:
    """The stored value of a date of a task."""
    if name.startswith(FIELDS):
        return task.fields.get(name.removeprefix(FIELDS))
    return getattr(task, name)


def moment_of(task: Task, name: str, zone: tzinfo) -> datetime | None:
    """A date of a task in UTC; None if it has none. A custom one is read as local to `zone`."""
    value: datetime | None = value_of(task, name)
    return written_dates.moment(value, zone) if name.startswith(FIELDS) else value


def is_day(task: Task, name: str) -> bool:
    """Whether only the day of a date is meant."""
    if name.startswith(FIELDS):
        return written_dates.day(value_of(task, name)) is not None
    return name in DAYS and bool(getattr(task, DAYS[name]))
