"""The facts that a message to a customer depends on, which are checked just before it is sent."""

from dataclasses import dataclass, replace
from datetime import datetime

from service.domain.alarms import CLOCK_KINDS
from service.domain.digests import DigestRebuild, Group
from service.domain.model import Event, Kind, Task

NO_LONGER_NEEDED = "no longer needed, as the rule says for this task now (`until`)"


@dataclass(frozen=True, slots=True)
class MessageBasis:
    """The facts that a message to a customer depends on. Times are UTC.

    - `event`, `decided_at`: the event that its rule reacted to, and when the rule decided
    - `is_asked_for`: a person requested it; the rule is not evaluated again, but the current state
      of the task counts all the same
    - `expires_at`: until when it may be sent
    - `unread_since`: since when the system could not be asked about the task
    - `text`, `subject`: as they were planned
    - `is_approved`: a person approved it with that text
    - `was_tried`: an earlier attempt may have brought its text up to date
    - `step`, `once_key`: the rule's step, and the key of the delivery

    For a digest:

    - `tells_of`: its tasks, as the message describes them
    - `due_at`: when it was due
    - `is_of_several`: this is the basis of one task of a digest, as returned by `each`
    """

    event: Event
    rule: str
    channel: str
    target: str
    decided_at: datetime
    is_asked_for: bool = False
    expires_at: datetime | None = None
    unread_since: datetime | None = None
    text: str = ""
    subject: str | None = None
    is_approved: bool = False
    was_tried: bool = False
    tells_of: Group | None = None
    step: int = 0
    once_key: str = ""
    due_at: datetime | None = None
    is_of_several: bool = False

    @property
    def is_news(self) -> bool:
        """Whether it is about a change of the task, and not time-based, a signal or a schedule."""
        return self.event.kind not in CLOCK_KINDS | {Kind.SIGNAL, Kind.SCHEDULED}

    @property
    def is_over_accounts(self) -> bool:
        """Whether it is about tasks of several accounts."""
        tasks = () if self.tells_of is None else self.tells_of.tasks
        return any(task.account != self.event.account for task in tasks)

    @property
    def each(self) -> tuple["MessageBasis", ...]:
        """The facts per task."""
        if self.tells_of is None:
            return (self,)
        return tuple(self._of(task) for task in self.tells_of.tasks)

    def _of(self, told: Task) -> "MessageBasis":
        event = replace(self.event, task_id=told.id, at=self.decided_at, before=None, after=told)
        return replace(self, event=event, tells_of=None, is_of_several=True)

    def rebuild_digest(self, left: Group) -> DigestRebuild:
        """The same digest, with only the tasks that are `left`."""
        event = replace(self.event, before=None, after=None)
        if event.kind is not Kind.SCHEDULED:
            event = replace(event, at=self.decided_at, changed=(), alarm=None, signal=None)
        return DigestRebuild(self.rule, event, left, self.step, self.once_key, self.expires_at)
