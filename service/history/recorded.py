"""Books in which a wait or a digest is over when the record says so, and not by a clock."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from service.books.digests import MemoryDigests, OpenDigest
from service.books.memory import MemoryBooks, Wait
from service.digests import Digest, Join
from service.history import Batch
from service.model import Task
from service.rules.verdict import Outcome
from service.silence import Silence
from service.store.history import RecordedDecision
from service.store.tasks import Key

Begun: TypeAlias = tuple[str, int]
"""A rule, and the number of the event with which its wait or its digest has begun."""


@dataclass(frozen=True, slots=True)
class Ending:
    """That waits, or digests that were told, had begun so and were over at a moment.

    It was decided by rules of this version, and `after` the event with this number was.
    """

    at: datetime
    told: bool
    rules_version: str
    after: int
    over: dict[Begun, Key]

    def comes_before(self, batch: Batch) -> bool:
        return (self.at, self.after) < (batch.now, batch.groups[0][0].id)


def endings(recorded: Iterable[RecordedDecision]) -> list[Ending]:
    """What was over when, as what was decided then tells, in that order."""
    found: list[Ending] = []
    gathered: set[Begun] = set()
    last = 0
    for one in recorded:
        begun = one.rule, one.event
        told = begun in gathered
        if told or _is_late(one):
            ending = Ending(one.at, told, one.rules_version, last, {})
            if not found or replace(found[-1], over={}) != ending:
                found.append(ending)
            found[-1].over[begun] = one.account, one.task
        elif one.outcome != Outcome.LAPSED:
            last = max(last, one.event)
        if one.outcome == Outcome.GATHERED:
            gathered.add(begun)
    return found


def _is_late(one: RecordedDecision) -> bool:
    """Whether it was made when a wait was over. One that has lapsed comes of a later event."""
    return one.at > one.decided_at and one.outcome != Outcome.LAPSED


class RecordedDigests(MemoryDigests):
    """Digests that are opened by what is on record as `opened`; `over` are those to be told now.

    One that was open already when the record begins is opened by whatever joins it first, and
    never told.
    """

    def __init__(self, opened: Collection[Begun]) -> None:
        super().__init__()
        self._opened = opened
        self.over: Collection[Begun] = ()

    def take(self, now: datetime, present: Callable[[Key], Task | None]) -> list[Digest]:
        del now
        return self._taken(lambda one: _begun(one.first) in self.over, present)

    def _digest(self, join: Join, now: datetime) -> OpenDigest:
        if _begun(join) in self._opened:
            return self._open_by(join, now)
        return super()._digest(join, now)


class RecordedBooks(MemoryBooks):
    """What a replay remembers; `over` are the waits and digests that have ended."""

    def __init__(self, recorded: Iterable[Ending], silenced: Sequence[Silence]) -> None:
        super().__init__({}, silenced)
        told = [one for one in recorded if one.told]
        self.digests = self._recorded = RecordedDigests(
            {begun for one in told for begun in one.over}
        )
        self._over: dict[Begun, Key] = {}

    def end(self, over: dict[Begun, Key]) -> None:
        """Have these waits and digests be over, and no others."""
        self._over = over
        self._recorded.over = over

    async def waits_over(self, names: Iterable[str], now: datetime, limit: int) -> Sequence[Key]:
        del names, now, limit
        return list(self._over.values())

    def _is_over(self, rule: str, wait: Wait, now: datetime) -> bool:
        del now
        return (rule, wait.event.id) in self._over


def _begun(join: Join) -> Begun:
    return join.rule, join.event.id
