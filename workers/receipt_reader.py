"""Parses receipts: each body becomes observations, hints and signals."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from service.domain.model import Cause, Kind, Observation
from service.errors import PayloadError
from service.http.json_body import decoded
from service.sources import Source
from service.sources.payload import FullTask, Sighting, TaskRef, TooManyTasks, UnreadableItem, read
from service.sources.reader import Raw
from service.store.announcements import Announcement
from service.store.receipt_queue import Pending
from service.store.tasks import Key
from service.telemetry import tracing
from workers.unreadable import UNREADABLE
from workers.unreadable import reason as reason_of

# Of more hints in one webhook none is read by its id: to read the whole account takes fewer calls.
_MOST_HINTS = 200
_FEW = 3  # reasons of one receipt that are shown


@dataclass(frozen=True, slots=True)
class Pushed:
    """An observation from a webhook, the JSON that it was read from, and its receipt."""

    look: Observation
    raw: Raw
    receipt: int


Found: TypeAlias = Pushed | Announcement | UnreadableItem
"""A look at a task; or what has to be read by id to be seen, or to be known for a signal;
or what says nothing."""


@dataclass(slots=True)
class ReadReceipts:
    """The contents of receipts, sorted by how they are processed.

    - `unread`: rows of lists that cannot be read, and why
    - `repeated_signals`: signals of repeated receipts, which were processed before
    - `too_many`: receipts about more tasks than are accepted in one, and what they contain
    """

    receipts: list[Pending] = field(default_factory=list)
    pushed: list[Pushed] = field(default_factory=list)
    hints: list[Announcement] = field(default_factory=list)
    signals: list[Announcement] = field(default_factory=list)
    unread: dict[int, list[UnreadableItem]] = field(default_factory=lambda: defaultdict(list))
    repeated_signals: list[int] = field(default_factory=list)
    too_many: list[tuple[int, str]] = field(default_factory=list)

    def pass_over(self, receipt: Pending, error: TooManyTasks) -> None:
        """Ignore the contents of this one: its whole account is read instead."""
        self.receipts.append(receipt)
        self.too_many.append((receipt.id, str(error)))

    def add(self, receipt: Pending, said: Iterable[Found]) -> None:
        self.receipts.append(receipt)
        for one in said:
            if isinstance(one, Pushed):
                self.pushed.append(one)
            elif isinstance(one, UnreadableItem):
                self.unread[receipt.id].append(one)
            elif one.signal and receipt.is_replay:
                self.repeated_signals.append(receipt.id)
            else:
                (self.signals if one.signal else self.hints).append(one)

    def origins(self, told: Iterable[tuple[Key, int]]) -> dict[tracing.Key, str | None]:
        """The traces of the receipts about tasks: of the last one, if any."""
        traces = {receipt.id: receipt.trace for receipt in self.receipts}
        return {key: traces.get(receipt) for key, receipt in told}

    @property
    def told_at(self) -> datetime | None:
        """When the last of these came; None if they were about no task, as signals are."""
        if not (self.pushed or self.hints or self.too_many):
            return None
        return max(receipt.received_at for receipt in self.receipts)


def read_receipt(source: Source, receipt: Pending) -> list[Found]:
    """The tasks in a receipt; raises PayloadError, or TooManyTasks."""
    found = [_found(source, receipt, one) for one in read(source, decoded(receipt.body))]
    if found and all(isinstance(one, UnreadableItem) for one in found):
        raise PayloadError(in_short([one for one in found if isinstance(one, UnreadableItem)]))
    _demand_few(found)
    return found


def in_short(unread: Sequence[UnreadableItem]) -> str:
    """Why rows were not read: the first of different reasons."""
    reasons = list(dict.fromkeys(one.reason for one in unread))
    return "; ".join(reasons[:_FEW]) + ("; …" if len(reasons) > _FEW else "")


def _demand_few(found: Sequence[Found]) -> None:
    """Raise TooManyTasks if reading the tasks by their ids would take too many calls."""
    announced = [one for one in found if isinstance(one, Announcement)]
    if len(announced) > _MOST_HINTS:
        signals = any(one.signal for one in announced)
        what = "signals" if signals else "tasks by their ids only"
        raise TooManyTasks(f"more than {_MOST_HINTS} {what}", of_signals=signals)


def _found(source: Source, receipt: Pending, sighting: Sighting) -> Found:
    """The content of one sighting, if any: an invalid task does not affect the others."""
    try:
        return _said(source, receipt, sighting)
    except UNREADABLE as error:
        return UnreadableItem(reason_of(error))


def _said(source: Source, receipt: Pending, sighting: Sighting) -> Found:
    """The content of one receipt; a repeated body only causes a read of its tasks."""
    at = receipt.received_at
    match sighting:
        case FullTask() if not receipt.repeats:
            look = source.observe(
                sighting.raw, at, Cause.WEBHOOK, pushed=True, announced=sighting.announced
            )
            return Pushed(look, sighting.raw, receipt.id)
        case FullTask():
            key = receipt.account, source.parse(sighting.raw).id
            return Announcement(key, receipt.id, Kind.CHANGED, at)
        case TaskRef():
            key = receipt.account, sighting.task_id
            return Announcement(
                key,
                receipt.id,
                sighting.announced,
                at,
                sighting.content,
                is_repeat=receipt.repeats > 0,
            )
        case UnreadableItem():
            return sighting
        case _:
            key = receipt.account, sighting.task_id
            return Announcement(key, receipt.id, Kind.SIGNAL, at, signal=sighting.name)
