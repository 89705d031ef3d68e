"""Deliveries that a process has claimed to send them, their attempts, and how these ended."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from service.channels import JSON, Message, SentRef
from service.domain.digests import Group
from service.domain.model import Event, State
from service.domain.operators.buttons import Button
from service.errors import SendError
from service.outbox.gates import Candidate
from service.rules.message_basis import MessageBasis
from service.store import Row
from service.store.events import event_from
from service.store.tasks import read_task


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process must send now.

    - `attempts`, `unsent`: the number of attempts that count, and of those that ended before
      anything was sent; together they identify this attempt
    - `updates`, `original`: the delivery whose message it updates, and that delivery's state
    - `candidate`: the delivery as the gates see it; they have let it pass
    - `created_at`: when it was planned (UTC)
    - `approves`: id and key of the delivery for which it requests approval; the key is None if that
      was decided in the meantime
    - `grounds`: for a message to a customer, the facts that its system must confirm before it is
      sent
    - `note`: why it is sent with another text than planned
    - `unsent_since`: since when every attempt has ended before anything was sent (UTC)
    - `trace`: the traceparent of the event
    - `buttons`: what its receiver can answer
    - `turn`: when its target may be sent to next (UTC), if its lane has a pace
    """

    id: int
    attempts: int
    unsent: int
    at_most_once: bool
    updates: int | None
    original: State | None
    message: Message
    candidate: Candidate
    created_at: datetime
    approves: tuple[int, str | None] | None = None
    grounds: MessageBasis | None = None
    unsent_since: datetime | None = None
    trace: str | None = None
    note: str | None = None
    turn: datetime | None = None
    buttons: tuple[Button, ...] = ()

    @property
    def number(self) -> int:
        """The number of this attempt among all of its delivery, also those that do not count."""
        return self.attempts + self.unsent


class AttemptOutcome(StrEnum):
    """How an attempt ended.

    - `refused`: the receiving system does not want it, and would not another time
    - `failed`: it was not taken; another attempt may work
    - `unknown`: it may have arrived: the answer does not say, or this process died before it came
    - `no_answer`: it may have arrived: none came
    """

    SENT = "sent"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send: when it began (UTC), how long it took, and the error if it failed."""

    began_at: datetime
    took: timedelta
    error: SendError | None = None

    @property
    def outcome(self) -> AttemptOutcome:
        if self.error is None:
            return AttemptOutcome.SENT
        if self.error.permanent:
            return AttemptOutcome.REFUSED
        if not self.error.outcome_unknown:
            return AttemptOutcome.FAILED
        return AttemptOutcome.NO_ANSWER if self.error.status is None else AttemptOutcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt ended. `again_at` is the time of the next attempt (UTC), if there is one.

    `is_unsent`: nothing was sent, so this attempt does not count. If the system could not be asked
    about the task, `expires_at` is when the delivery expires at the latest. `attempt` is what was
    tried; None: it ended before that. `pause_until`: nothing is sent to its target before (UTC).
    """

    claim: Claim
    state: State
    reason: str | None = None
    receipt: SentRef | None = None
    again_at: datetime | None = None
    is_unsent: bool = False
    expires_at: datetime | None = None
    attempt: Attempt | None = None
    pause_until: datetime | None = None


def claim_of(
    row: Row, candidate: Candidate, others: frozenset[str], turn: datetime | None
) -> Claim:
    """The claim of a delivery that is due; `others` as in `Message`, `turn` as in `Claim`."""
    original = None if row["original"] is None else State(row["original"])
    approves = None if row["approves"] is None else (row["approves"], row["approves_key"])
    return Claim(
        row["id"],
        row["attempts"] + 1,
        row["unsent"],
        row["at_most_once"],
        row["updates"],
        original,
        _message(row, others),
        candidate,
        row["created_at"],
        approves,
        _grounds(row) if candidate.reaches_customer else None,
        row["unread_since"],
        row["trace"],
        turn=turn,
        buttons=tuple(Button(one) for one in row["buttons"] or ()),
    )


def _message(row: Row, others: frozenset[str]) -> Message:
    kind, at, event = _happened(row)
    return Message(
        key=str(row["key"]),
        channel=row["channel"],
        target=row["target"],
        text=row["text"],
        markup=tuple(row["markup"] or ()),
        subject=row["subject"],
        attach=row["attach"],
        fields=_parsed(row["fields"]),
        account=row["account"],
        task_id=row["task"],
        rule=row["rule"],
        type=kind,
        at=at,
        event=event,
        task=_fragment(row["after"] or row["before"]) if row["task"] else None,
        before=_fragment(row["before"]) if row["task"] else None,
        receipt=_parsed(row["receipt"]),
        undo=row["undo"],
        progress=_parsed(row["progress"]),
        others=others,
    )


def _grounds(row: Row) -> MessageBasis | None:
    """The facts that a message to a customer depends on; None if it is about no single task."""
    if row["tells_of"] is not None:
        return _grounds_of(row, event_from(row, None, None), Group.from_json(row["tells_of"]))
    if not row["task"]:
        return None
    event = event_from(row, read_task(row["before"]), read_task(row["after"]))
    return _grounds_of(row, event, None)


def _grounds_of(row: Row, event: Event, tells_of: Group | None) -> MessageBasis:
    return MessageBasis(
        event=event,
        rule=row["rule"],
        channel=row["channel"],
        target=row["target"],
        decided_at=row["created_at"],
        is_asked_for=row["asked_for"],
        expires_at=row["expires_at"],
        unread_since=row["unread_since"],
        text=row["text"],
        subject=row["subject"],
        is_approved=row["approver"] is not None,
        was_tried=row["attempts"] + row["unsent"] > 0,
        tells_of=tells_of,
        step=row["step"],
        once_key=row["once_key"],
        due_at=row["send_at"],
    )


def _happened(row: Row) -> tuple[str, datetime, JSON]:
    """What the message is about: its type, when it happened (UTC), and the event as in the API.

    A message to the operator has no event: its type is the name of Taskbell's own rule.
    """
    if row["event"] is None:
        happened = {"account": row["account"], "kind": row["rule"], "at": row["created_at"]}
        return row["rule"], row["created_at"], happened
    names = ("account", "task", "kind", "at", "cause")
    event = {"id": row["event"], **{name: row[name] for name in names}}
    return f"task.{row['kind']}", row["at"], event


def _fragment(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


def _parsed(text: str | None) -> dict[str, Any] | None:
    return None if text is None else orjson.loads(text)
