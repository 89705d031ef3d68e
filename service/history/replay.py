"""Replay: history, rules and clock once more, which must give the same decisions to the byte.

What digests told, and what schedules brought, depends on many tasks at one moment, of which events
alone do not tell: that is left out. That an event joined a digest is decided once more.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from service.books.memory import MemoryBooks, Wait
from service.channels import Channel
from service.clock import VirtualClock
from service.deciding import Decider
from service.engine import Engine
from service.history import Batch
from service.model import Event, Kind
from service.outbox import Identity
from service.rules import Ruleset
from service.rules.verdict import Outcome
from service.silence import Silence
from service.store.decisions import Decision
from service.store.history import RecordedDecision
from service.store.tasks import Key, Known, Saved

_ALL = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Made:
    """A decision with its moment, in an order of its own."""

    at: datetime
    event: int
    rule: str
    rules_version: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: `missing` was recorded and not made again, `new` the other way."""

    events: int
    decisions: int
    missing: Sequence[Made]
    new: Sequence[Made]


class _RecordedBooks(MemoryBooks):
    """Books in which a wait is over when the record says so, and not by the clock."""

    def __init__(self, silenced: Sequence[Silence]) -> None:
        super().__init__({}, silenced)
        self.over: dict[tuple[str, int], Key] = {}

    async def waits_over(self, names: Iterable[str], now: datetime, limit: int) -> Sequence[Key]:
        del names, now, limit
        return list(self.over.values())

    def _is_over(self, rule: str, wait: Wait, now: datetime) -> bool:
        del now
        return (rule, wait.event.id) in self.over


class Replay:
    """Goes through what was recorded, by the rules that were in force each time."""

    def __init__(
        self,
        rules: Mapping[str, Ruleset],
        zones: Mapping[str, ZoneInfo],
        ways: Mapping[str, type[Channel]],
        recorded: Sequence[RecordedDecision],
        placed: Iterable[tuple[Identity, bool]],
        silenced: Sequence[Silence],
    ) -> None:
        """`placed` is what had been planned before, and stands in the way of the same again.

        What was `silenced` was not sent, and stands in nobody's way.
        """
        self._clock = VirtualClock(datetime.min.replace(tzinfo=UTC))
        self._books = _RecordedBooks(silenced)
        self._books.outbox.remember(placed)
        self._rules = rules
        self._recorded = recorded
        self._late = deque(one for one in recorded if _is_late(one))
        self._deciders = {name: Decider(one, zones, ways) for name, one in rules.items()}
        self._engines = {
            name: Engine(decider, zones, self._clock) for name, decider in self._deciders.items()
        }

    async def run(self, batches: AsyncIterator[Batch], progress: Callable[[int], None]) -> Replayed:
        """Decide on everything once more; `progress` is told how many events are done."""
        events = 0
        async for batch in batches:
            await self._settle_until(batch.now)
            await self._decide(batch)
            events += sum(map(len, batch.groups))
            progress(events)
        if self._late:
            await self._settle_until(self._late[-1].at)
        everything = {_made(one.decision, one.version, one.at) for one in self._books.decisions}
        made = set(filter(self._is_of_one_event, everything))
        recorded = {
            _made(Decision(one.event, one.rule, one.outcome, one.reason), one.rules_version, one.at)
            for one in self._recorded
        }
        known = set(filter(self._is_of_one_event, recorded))
        return Replayed(events, len(known), sorted(known - made), sorted(made - known))

    async def _decide(self, batch: Batch) -> None:
        self._let_pass(batch.now, batch.rules_version)
        groups = [group for group in batch.groups if group[0].kind is not Kind.SCHEDULED]
        happened = [event for group in groups for event in group]
        await self._books.save([_saved(event) for event in happened])
        await self._deciders[batch.rules_version].decide(self._books, groups, batch.now)

    async def _settle_until(self, moment: datetime) -> None:
        """End the waits that were over by then, as they were taken out together."""
        while self._late and self._late[0].at <= moment:
            first = self._late[0]
            self._books.over = {}
            while self._late and self._late[0].at == first.at:
                one = self._late.popleft()
                self._books.over[one.rule, one.event] = one.account, one.task
            self._let_pass(first.at, first.rules_version)
            await self._engines[first.rules_version].settle(self._books, _ALL)

    def _let_pass(self, moment: datetime, version: str) -> None:
        """What is due by then goes out when it is, unless its rule has ended."""
        while (due := self._books.outbox.next_due()) is not None and due <= moment:
            self._books.send(self._rules[version], max(due, self._clock.now()))
        self._clock.set(moment)

    def _is_of_one_event(self, made: Made) -> bool:
        several = self._rules[made.rules_version].is_about_several(made.rule)
        return not several or made.outcome == Outcome.GATHERED


def _is_late(one: RecordedDecision) -> bool:
    """Whether it was made when a wait was over. One that has lapsed comes of a later event."""
    return one.at > one.decided_at and one.outcome != Outcome.LAPSED


def _saved(event: Event) -> Saved:
    gone = event.at if event.after is None else None
    return Saved((event.account, event.task_id), Known(event.task, deleted_at=gone))


def _made(one: Decision, version: str, at: datetime) -> Made:
    return Made(at, one.event, one.rule, version, one.outcome, one.reason)
