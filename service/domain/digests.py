"""Digests: the tasks that a rule with `group` collects under one key, to send one message."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import orjson

from service.domain.model import JSON_OPTIONS, Cause, Event, Kind, Task


@dataclass(frozen=True, slots=True)
class Joining:
    """A rule's wish to report an event together with others of the same `key`.

    A digest is open for `wait` after its first member, and takes up to `most` of them. For a rule
    with an alarm, `anchor` is the date of the task that it counts from (UTC): if the task has
    another date when the digest is sent, it was moved and is left out.
    """

    key: str
    wait: timedelta
    most: int
    anchor: datetime | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """An event that joins a rule's digest in an account.

    That is the event's own one, unless the rule has `together`.
    """

    rule: str
    account: str
    event: Event
    joining: Joining

    @property
    def key(self) -> tuple[str, str]:
        """The account and the id of the task that joins."""
        return self.event.account, self.event.task_id


@dataclass(frozen=True, slots=True)
class Member:
    """A task of an account that joined a digest. `task` is how it is now; None if it is gone."""

    account: str
    task_id: str
    anchor: datetime | None
    task: Task | None


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that is due, with its members in the order in which they joined.

    `event` is the number of the event that opened it; `kind` and `cause` are that event's.
    `outdated` is as in `Event`.
    """

    rule: str
    account: str
    key: str
    event: int
    kind: Kind
    cause: Cause
    closes_at: datetime
    members: tuple[Member, ...]
    outdated: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The tasks of one digest, and its key: the value that they have in common.

    `outdated` is as in `Event`.
    """

    key: str
    tasks: tuple[Task, ...]
    size: int
    outdated: str | None = None

    def to_json(self) -> bytes:
        return orjson.dumps(self, option=JSON_OPTIONS)

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Parse the result of `to_json`, of this version or another."""
        raw = orjson.loads(text)
        tasks = tuple(Task.from_dict(one) for one in raw["tasks"])
        return cls(raw["key"], tasks, raw["size"], raw.get("outdated"))


@dataclass(frozen=True, slots=True)
class DigestRebuild:
    """A request to rebuild a digest message, for the remaining tasks in `group`.

    It replaces the message of this `step` with this `once_key`, and expires with it (UTC).
    """

    rule: str
    event: Event
    group: Group
    step: int
    once_key: str
    expires_at: datetime | None
