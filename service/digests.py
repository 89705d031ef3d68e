"""Digests: what a rule gathers under one key, to tell of all of it at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.model import Cause, Event, Kind, Task


@dataclass(frozen=True, slots=True)
class Joining:
    """That something is to be told with others of the same `key`.

    `wait` is how long a digest stays open after its first, `most` how many it takes. `anchor` is
    the date that a rule by the clock counts from: a task whose date is another by then has moved.
    """

    key: str
    wait: timedelta
    most: int
    anchor: datetime | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """An event that joins a rule's digest in its account."""

    rule: str
    event: Event
    joining: Joining


@dataclass(frozen=True, slots=True)
class Member:
    """A task that joined, as it is now; None where it is gone."""

    task_id: str
    anchor: datetime | None
    task: Task | None


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that is over, its members in the order in which they joined.

    `event` is the number of the one that opened it, `kind` and `cause` are of that.
    """

    rule: str
    account: str
    key: str
    event: int
    kind: Kind
    cause: Cause
    closes_at: datetime
    members: tuple[Member, ...]
