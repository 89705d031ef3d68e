"""In-memory transaction for replays: a wait or a digest ends when the record says so.

The time at which a worker processed it is not part of the rules, and cannot be recomputed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from service.domain.digests import Join
from service.domain.operators.silences import Silence
from service.rules.verdict import Outcome
from service.simulator.batches import Batch
from service.simulator.memory.digests import MemoryDigests, OpenDigest
from service.simulator.memory.tasks import MemoryTasks
from service.simulator.memory.transaction import MemoryTransaction
from service.simulator.memory.waits import MemoryWaits, OpenWait
from service.store.history import PastDecision
from service.store.tasks import Key

Begun: TypeAlias = tuple[str, int]
"""A rule, and the number of the event with which its wait or its digest has begun."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Waits, or digests if `told`, that were over at a time (UTC), by their first events.

    They were decided on by rules of this version, after the event with the id `after`; or they were
    `given_up`, for a reason that is not part of the rules.
    """

    at: datetime
    told: bool
    given_up: bool
    rules_version: str
    after: int
    over: dict[Begun, Key]

    def comes_before(self, batch: Batch) -> bool:
        return (self.at, self.after) < (batch.now, batch.groups[0][0].id)


def endings(recorded: Iterable[PastDecision]) -> list[Ending]:
    """The ends of waits and digests, in order: each of them has a recorded decision."""
    found: list[Ending] = []
    gathered: set[Begun] = set()
    last = 0
    for past in recorded:
        one = past.decision
        begun = one.rule, one.event
        told = begun in gathered
        given_up = one.outcome == Outcome.GIVEN_UP
        if given_up or told or _is_late(past):
            # That may be at the very time of the event with which it has begun.
            after = max(last, one.event) if given_up else last
            ending = Ending(one.at, told, given_up, one.rules_version, after, {})
            if not found or replace(found[-1], over={}) != ending:
                found.append(ending)
            found[-1].over[begun] = past.account, past.task
        elif one.outcome != Outcome.LAPSED:
            last = max(last, one.event)
        if one.outcome == Outcome.GATHERED:
            gathered.add(begun)
    return found


def _is_late(one: PastDecision) -> bool:
    """Whether it was made at the end of a wait. A wait that lapsed was ended by a later event."""
    return one.decision.at > one.decided_at and one.decision.outcome != Outcome.LAPSED


class RecordedDigests(MemoryDigests):
    """Digests that begin with the same events as recorded; `over` are to be closed now.

    A digest that was already open when the record begins is opened by the first event that joins
    it, and is never sent.
    """

    def __init__(self, tasks: MemoryTasks, opened: Collection[Begun]) -> None:
        super().__init__(tasks)
        self._opened = opened
        self.over: Collection[Begun] = ()

    def _is_over(self, one: OpenDigest, now: datetime) -> bool:
        del now
        return _begun(one.first) in self.over

    def _digest(self, join: Join, now: datetime) -> OpenDigest:
        if _begun(join) in self._opened:
            return self._open_by(join, now)
        return super()._digest(join, now)


class RecordedWaits(MemoryWaits):
    """Waits of which those in `ending` are over now."""

    def __init__(self) -> None:
        super().__init__()
        self.ending: Mapping[Begun, Key] = {}

    def forget(self, over: Mapping[Begun, Key]) -> None:
        for (rule, _), key in over.items():
            self._open[key].pop(rule, None)

    async def over(self, accounts: Iterable[str], now: datetime, limit: int) -> Sequence[Key]:
        del accounts, now, limit
        return list(self.ending.values())

    def _is_over(self, rule: str, wait: OpenWait, now: datetime) -> bool:
        del now
        return (rule, wait.first.id) in self.ending


class ReplayTransaction(MemoryTransaction):
    """Storage for a replay; its waits and digests end as `recorded`."""

    def __init__(self, recorded: Iterable[Ending], silenced: Sequence[Silence]) -> None:
        super().__init__({}, silenced)
        told = [one for one in recorded if one.told]
        self.waits = self._waits = RecordedWaits()
        self.digests = self._digests = RecordedDigests(
            self.tasks, {begun for one in told for begun in one.over}
        )

    def forget(self, over: Mapping[Begun, Key]) -> None:
        """End these waits without a decision. Digests need no end: the next one begins anew."""
        self._waits.forget(over)

    def end(self, over: Mapping[Begun, Key]) -> None:
        """Close exactly these waits and digests now."""
        self._waits.ending = over
        self._digests.over = over


def _begun(join: Join) -> Begun:
    return join.rule, join.event.id
