"""The domain model: task, observation, event, signal, state of a delivery.

Everything here is immutable and independent of databases, networks and rules. Every datetime is
aware and in UTC; sources convert naive local times when they read them.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from types import NoneType, UnionType
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

import orjson

JSON_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
_Noun = TypeVar("_Noun", bound="Person | Customer | Project | Task")


class Cause(StrEnum):
    """How Taskbell detected a change."""

    WEBHOOK = "webhook"
    POLL = "poll"
    FETCH = "fetch"
    CLOCK = "clock"
    SIGNAL = "signal"
    WRITE = "write"
    PERSON = "person"


class Kind(StrEnum):
    """The type of an event. The first nine are changes of a task; a schedule may have no task."""

    CREATED = "created"
    COMPLETED = "completed"
    REOPENED = "reopened"
    RESCHEDULED = "rescheduled"
    REASSIGNED = "reassigned"
    CHANGED = "changed"
    DELETED = "deleted"
    RESTORED = "restored"
    ACKNOWLEDGED = "acknowledged"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"
    STARTING_SOON = "starting_soon"
    REMINDER = "reminder"
    SIGNAL = "signal"
    SCHEDULED = "scheduled"


@dataclass(frozen=True, slots=True)
class Person:
    """A person who works on tasks.

    `from_directory` names the fields that come from the configuration's `people`, and not from the
    system.
    """

    id: str | None = None
    name: str | None = None
    email: str | None = None
    number: str | None = None
    phone: str | None = None
    from_directory: Sequence[str] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer of a task.

    `tags`, `groups` and `fields` are the account's own, of the customer and not of the task:
    `fields` by their names, scalars or lists of them.
    """

    id: str | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    opted_out: bool = False
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Project:
    """The job, case or deal that a task belongs to."""

    id: str | None = None
    name: str | None = None


class _WithJson:
    """Room for the JSON of a task, which is no field of it."""

    __slots__ = ("_json",)


@dataclass(frozen=True, slots=True)
class Task(_WithJson):
    """The normalised snapshot of a task in an account.

    - `id`: unique within `account`
    - `priority`: one of low, normal, high, highest
    - `archived`: whether it was put away, done or not
    - `not_started`: whether its status means that work has not begun
    - `acknowledged`, `acknowledged_by`: whether a person told Taskbell that they have seen it as it
      is, and who; no system reports it
    - `fields`: the account's own custom fields, by their reference: scalars, or lists of them
    - `revision`: which fields were stored when it was read (`Source.revision`); not a property of
      the task itself
    - `…_is_day`: of this date only the day is meant, in the zone of the account
    """

    id: str
    account: str
    system: str
    title: str = ""
    url: str | None = None
    description: str | None = None
    type: str | None = None
    status: str | None = None
    done: bool = False
    archived: bool = False
    not_started: bool = False
    priority: str | None = None
    due: datetime | None = None
    due_is_day: bool = False
    start: datetime | None = None
    start_is_day: bool = False
    end: datetime | None = None
    end_is_day: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    completed_at_is_day: bool = False
    completed_by: Person | None = None
    author: Person | None = None
    assignee: Person | None = None
    assignees: tuple[Person, ...] = ()
    customer: Customer | None = None
    contacts: tuple[Customer, ...] = ()
    acknowledged: bool = False
    acknowledged_by: Person | None = None
    project: Project | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    revision: int = field(default=0, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether it is neither done nor archived."""
        return not (self.done or self.archived)

    def to_json(self) -> bytes:
        """The task as JSON; made once, as it goes into several tables and messages."""
        known: bytes | None = getattr(self, "_json", None)
        if known is None:
            known = orjson.dumps(self, option=JSON_OPTIONS)
            object.__setattr__(self, "_json", known)
        return known

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Parse the result of `to_json`, of this version or another; raises ValueError.

        A field that an older version did not know has its default, a field of a newer one is left
        out.
        """
        return cls.from_dict(orjson.loads(text))

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        return _stored(cls, raw)


def _stored(noun: type[_Noun], raw: dict[str, Any]) -> _Noun:
    """The stored values of the fields that this version has."""
    form = _FORMS.get(noun) or _form_of(noun)
    if not raw.keys() <= form.names:
        raw = {name: value for name, value in raw.items() if name in form.names}
    for name, read in form.readers:
        value = raw.get(name)
        if value is not None:
            raw[name] = read(value)
    return noun(**raw)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a class is stored: its names, and the converters for values that JSON does not have."""

    names: AbstractSet[str]
    readers: Sequence[tuple[str, Callable[[Any], Any]]]


_FORMS: dict[type, _Form] = {}  # no cache of functools: this is asked for every noun that is read


def _form_of(noun: type) -> _Form:
    readers = ((name, _reader(hint)) for name, hint in get_type_hints(noun).items())
    known = [(name, read) for name, read in readers if read is not None]
    return _FORMS.setdefault(noun, _Form({one.name for one in fields(noun)}, known))


def _reader(hint: Any) -> Callable[[Any], Any] | None:
    hint = _kept(hint)
    if hint is datetime:
        return datetime.fromisoformat
    if isinstance(hint, type) and issubclass(hint, Person | Customer | Project):
        return partial(_stored, hint)
    if get_origin(hint) is tuple:
        each = _reader(get_args(hint)[0])
        return tuple if each is None else lambda values: tuple(each(value) for value in values)
    return None


def _kept(hint: Any) -> Any:
    """The value of a field, if it is not empty."""
    held = [one for one in get_args(hint) if one is not NoneType]
    return held[0] if get_origin(hint) is UnionType else hint


def _fields_of(*types: type) -> dict[str, type]:
    """The fields of a task that have one of these types, and which type."""
    held = {name: _kept(hint) for name, hint in get_type_hints(Task).items()}
    return {name: hint for name, hint in held.items() if hint in types}


NOUNS: Mapping[str, type[Person | Customer | Project]] = _fields_of(Person, Customer, Project)
DAYS: Mapping[str, str] = {
    name: f"{name}_is_day" for name in ("due", "start", "end", "completed_at")
}
"""By a date of a task the field that says whether only its day means anything."""
TIMES = tuple(_fields_of(datetime))


@dataclass(frozen=True, slots=True)
class Observation:
    """The state of a task according to one webhook, poll or read by id.

    - `task`: None if the system confirmed, asked by id, that the task does not exist
    - `observed_at`: when the request *started* (for a webhook: when it came in)
    - `version`: the system's own last-change time, if it has one
    - `fingerprint`: the digest of the task in the system's lists, so that the next scan can skip an
      unchanged task without parsing it; None without a task
    - `confirms`: whether it was requested after a pause, because one before it showed an older
      version
    - `pushed`: whether it came by webhook, so that its delay is unknown
    - `announced`: the changes that the system itself announced
    - `untold`: fields, or parts of them such as `fields.value`, that this observation does not
      include
    - `unread`: the system's own fields, with their values, that could not be read
    - `customers`: all customers of the task, if the system shows several
    - `completed_from`: the beginning of the day on which it was completed, if only the day is known
    - `came_into_sight`: whether it is an older task that appeared together with many others; that
      causes no event
    """

    account: str
    task_id: str
    task: Task | None
    observed_at: datetime
    cause: Cause
    version: datetime | None = None
    fingerprint: bytes | None = None
    pushed: bool = False
    confirms: bool = False
    announced: frozenset[Kind] = frozenset()
    untold: frozenset[str] = frozenset()
    customers: tuple[Customer, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    completed_from: datetime | None = None
    came_into_sight: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A change of one task, an alarm or a signal; or a slot of a schedule, then without `task_id`.

    `id` is assigned before the event is stored. `changed` names the task's fields that this
    event covers. `alarm` is the alarm that fired, or the schedule; `signal` is the name of a
    signal. `outdated` names the accounts of a rule with `together` whose tasks may be out of date,
    because they could not be read: `field, london`.
    """

    id: int
    account: str
    task_id: str
    kind: Kind
    at: datetime
    cause: Cause
    before: Task | None
    after: Task | None
    changed: tuple[str, ...] = ()
    alarm: str | None = None
    signal: str | None = None
    outdated: str | None = None

    @property
    def words(self) -> frozenset[str]:
        """The names of the event that can cancel a wait: `rescheduled`, and `rescheduled:due`.

        Each of the account's own fields has a name: `changed:fields.renewal`.
        """
        names = (*self.changed, *self._custom_changes())
        return frozenset({self.kind.value, *(f"{self.kind}:{name}" for name in names)})

    def _custom_changes(self) -> list[str]:
        if "fields" not in self.changed or self.before is None or self.after is None:
            return []
        old, new = self.before.fields, self.after.fields
        return [f"fields.{name}" for name in {*old, *new} if old.get(name) != new.get(name)]

    @property
    def task(self) -> Task:
        """The task as it is now; for a deleted one, as it was last observed."""
        task = self.after or self.before
        if task is None:
            raise ValueError(f"event {self.id} holds no task")
        return task


class State(StrEnum):
    """The state of a delivery."""

    PLANNED = "planned"
    HELD = "held"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


def utc(moment: datetime) -> datetime:
    """The same time in UTC; ValueError for a naive one, whose zone is unknown."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no zone")
    return moment.astimezone(UTC)
