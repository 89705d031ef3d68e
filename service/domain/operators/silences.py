"""Silences: messages that people suppress for a while, with the reason. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service.domain.model import Person, Task
from service.domain.system_actions import WRITES

# Beyond that, a time of another zone may be no date any more.
LONGEST = timedelta(days=3660)
SCOPES = ("rule", "person", "customer", "project", "account")


@dataclass(frozen=True, slots=True)
class Silence:
    """Messages that match all its scopes are suppressed from `created_at` until `ends_at` (UTC).

    `ends_at` itself is excluded. A scope that is None matches every message. `person` is the
    address of the receiver; `customer` and `project` are the id or the name of the task's customer
    and project.
    """

    id: int
    created_at: datetime
    ends_at: datetime
    reason: str
    rule: str | None = None
    person: str | None = None
    customer: str | None = None
    project: str | None = None
    account: str | None = None

    @property
    def refusal(self) -> str:
        """The reason of a message that this silence suppresses."""
        until = f"{self.ends_at:%Y-%m-%d %H:%M} UTC"
        return f"silenced until {until} (silence {self.id}): {self.reason}"

    @property
    def looks_at_tasks(self) -> bool:
        """Whether it depends on the task of a message, also on who is assigned to it."""
        return any(one is not None for one in (self.person, self.customer, self.project))

    def is_on(self, now: datetime) -> bool:
        return self.created_at <= now < self.ends_at

    def covers(self, rule: str, channel: str, target: str, account: str, task: Task | None) -> bool:
        """Whether this message matches its scopes. Writes to a system are not suppressed.

        `task` is None for a message about no task, or about several.
        """
        return (
            channel not in WRITES
            and self.rule in {None, rule}
            and self.account in {None, account}
            and (self.person is None or _reaches(self.person, channel, target, task))
            and (self.customer is None or _is_called(self.customer, task and task.customer))
            and (self.project is None or _is_called(self.project, task and task.project))
        )


def covering(
    silences: Iterable[Silence],
    rule: str,
    channel: str,
    target: str,
    account: str,
    task: Task | None,
    now: datetime,
) -> Silence | None:
    """The silence that covers the message; of several, the one that ends last."""
    on = [one for one in silences if one.is_on(now)]
    found = [one for one in on if one.covers(rule, channel, target, account, task)]
    return max(found, key=lambda one: (one.ends_at, -one.id), default=None)


def described(scopes: Mapping[str, Any]) -> str:
    """The scopes of a silence, such as `rule job-done, customer Smith`; without any: everything."""
    named = [f"{scope} {scopes[scope]}" for scope in SCOPES if scopes[scope]]
    return ", ".join(named) or "everything"


def _reaches(address: str, channel: str, target: str, task: Task | None) -> bool:
    wanted = address.casefold()
    if channel == "employee":
        people: Iterable[Person | None] = (task.assignee, *task.assignees) if task else ()
        return any(one and one.email and one.email.casefold() == wanted for one in people)
    return target.removeprefix("@").casefold() == wanted


def _is_called(word: str, noun: object) -> bool:
    wanted = word.casefold()
    names = (getattr(noun, "id", None), getattr(noun, "name", None))
    return any(name is not None and name.casefold() == wanted for name in names)
