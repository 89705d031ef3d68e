"""`then` and `escalate`: the steps of a rule, one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from service.domain.durations import Duration
from service.domain.operators.buttons import Button
from service.rules.language.templates import Template

DATES = ("due", "start", "end")

Value: TypeAlias = Template | Duration


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause before the steps that follow; `escalation` as in `Action`."""

    number: int
    duration: Duration
    escalation: int | None = None

    @property
    def place(self) -> tuple[str, int]:
        """Where it stands in its rule."""
        return _place(self.number, self.escalation)


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same step again, `times` times, each `every` so long after the one before it."""

    every: Duration
    times: int


@dataclass(frozen=True, slots=True)
class Approver:
    """Who must approve something before it is sent: a configured channel, and its target."""

    channel: str
    target: Template | None


@dataclass(frozen=True, slots=True)
class Action:
    """A message to send or a task to write. `number` counts the rule's steps from 1.

    `escalation` is its place in `escalate`, if it is there and not in `then`. `buttons` are what
    the receiver can answer. `on_fail` is the fallback after a permanent failure. `even_if_told`:
    the message is sent even if the customer already got one about the same visit. `attach`
    is what the message has with it.
    """

    number: int
    channel: str
    target: Template | None = None
    text: Template | None = None
    subject: Template | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    on_undo: str | None = None
    repeat: Repeat | None = None
    on_fail: tuple["Action", ...] = ()
    approver: Approver | None = None
    even_if_told: bool = False
    attach: str | None = None
    escalation: int | None = None
    buttons: tuple[Button, ...] = ()

    @property
    def place(self) -> tuple[str, int]:
        """Where it stands in its rule."""
        return _place(self.number, self.escalation)

    @property
    def reaches_customer(self) -> bool:
        return self.channel == "customer"

    @property
    def fields_in_texts(self) -> frozenset[str]:
        """The fields of the task that its subject and its text read."""
        texts = [one for one in (self.subject, self.text) if one is not None]
        paths = [read.segments for one in texts for read in one.reads]
        return frozenset(str(path[1]) for path in paths if path[0] == "task" and len(path) > 1)


Step: TypeAlias = Pause | Action


def _place(number: int, escalation: int | None) -> tuple[str, int]:
    return ("then", number - 1) if escalation is None else ("escalate", escalation)
