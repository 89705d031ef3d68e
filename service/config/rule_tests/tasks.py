"""Tasks in rule tests: a few fields, dates in local time."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, Strict, WithJsonSchema

from service.diagnostics import refused
from service.document.messages import must_be
from service.document.validation import Shape
from service.domain.days import Calendar
from service.domain.model import DAYS, Customer, Person, Project, Task

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_YEARS = range(1970, 2200)
_HINT = "write for example 2026-03-06 16:30"


def moment(value: Any) -> datetime:
    """A date and time, naive if no zone is written; raises ValueError with the error."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise refused(must_be("this", "a date and time", value), _HINT) from None
    if found.year not in _YEARS:
        raise refused(f"the year must be between {_YEARS[0]} and {_YEARS[-1]}", _HINT)
    return found


def _number_as_text(value: Any) -> Any:
    """A number as text: ids of tasks and people are often numbers without quotes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _scalar(value: Any) -> Any:
    several = value if isinstance(value, list) else [value]
    if any(isinstance(one, list | dict) for one in several):
        wanted = "text, a number, true or false, or a list of these"
        raise refused(must_be("a custom field", wanted, value))
    return value


def date_or_moment(value: Any) -> date:
    """A date with or without a time; it is a `datetime` if it has one."""
    found = moment(value)
    return found.date() if _DAY.fullmatch(str(value).strip()) else found


Moment = Annotated[datetime, BeforeValidator(moment)]
Date = Annotated[
    datetime | date,
    BeforeValidator(date_or_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Id = Annotated[
    str, BeforeValidator(_number_as_text), WithJsonSchema({"type": ["string", "integer"]})
]
Scalar = Annotated[Any, BeforeValidator(_scalar)]
Truth = Annotated[bool, Strict()]


class PersonShape(Shape):
    """Somebody who works on tasks."""

    id: Id | None = None
    name: str | None = None
    email: str | None = None
    number: Id | None = None
    phone: str | None = None

    def noun(self) -> Person:
        return Person(**self.model_dump())


class CustomerShape(Shape):
    """Whom a task is done for."""

    id: Id | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    opted_out: Truth = False
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fields: dict[str, Scalar] = Field(default_factory=dict)

    def noun(self) -> Customer:
        return Customer(**self.model_dump())


class ProjectShape(Shape):
    """What a task belongs to."""

    id: Id | None = None
    name: str | None = None

    def noun(self) -> Project:
        return Project(**self.model_dump())


class TaskShape(Shape):
    """The fields of a task, as far as the test gives them.

    Without `account` it is in that of the test; its system is that of its account.
    """

    account: str | None = None
    title: str = ""
    url: str | None = None
    description: str | None = None
    type: str | None = None
    status: str | None = None
    done: Truth = False
    archived: Truth = False
    not_started: Truth = False
    priority: Literal["low", "normal", "high", "highest"] | None = None
    due: Date | None = None
    start: Date | None = None
    end: Date | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    completed_at: Date | None = None
    completed_by: PersonShape | None = None
    author: PersonShape | None = None
    assignee: PersonShape | None = None
    assignees: tuple[PersonShape, ...] = ()
    customer: CustomerShape | None = None
    contacts: tuple[CustomerShape, ...] = ()
    acknowledged: Truth = False
    acknowledged_by: PersonShape | None = None
    project: ProjectShape | None = None
    tags: tuple[str, ...] = ()
    fields: dict[str, Scalar] = Field(default_factory=dict)

    def values(self, zone: ZoneInfo, calendar: Calendar) -> dict[str, Any]:
        """The given fields as `service.domain.model.Task` has them.

        `zone` is for times without one, `calendar` is of the account, for days.
        """
        given = {
            name: getattr(self, name)
            for name in self.model_fields_set & TaskShape.model_fields.keys()
        }
        days = {name for name in given.keys() & DAYS.keys() if _is_day(given[name])}
        return {
            **{name: _held(value, zone) for name, value in given.items()},
            **{name: calendar.moment(given[name], name) for name in days},
            **{DAYS[name]: name in days for name in given.keys() & DAYS.keys()},
        }


class GivenShape(TaskShape):
    """A task that is there when a test begins."""

    id: Id


def _is_day(value: Any) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _held(value: Any, zone: ZoneInfo) -> Any:
    match value:
        case PersonShape() | CustomerShape() | ProjectShape():
            return value.noun()
        case datetime():
            return local(value, zone).astimezone(UTC)
        case tuple():
            return tuple(_held(one, zone) for one in value)
        case _:
            return value


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    """The time in `zone`; a time without a zone is assumed to be in it."""
    return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)


def changed(task: Task, values: Mapping[str, Any], now: datetime) -> Task:
    """The task with these new values, at the time `now` (UTC).

    An assignee becomes the only one of the assignees, if these are not given; a task that is done
    was completed now.
    """
    more = dict(values)
    if "assignee" in more:
        person = more["assignee"]
        more.setdefault("assignees", () if person is None else (person,))
    if "done" in more and "completed_at" not in more:
        more |= {"completed_at": now if more["done"] else None, "completed_at_is_day": False}
    return replace(task, **more)
