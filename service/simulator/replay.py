"""Replay: recorded history, rules and times, which must give byte-identical decisions.

The tasks that schedules selected, and the contents of digests, depend on many tasks at one time.
These are reconstructed from the events, as far as changes cause any: a system's own date of the
last change, for example, causes none, and neither does a silent import. Decisions that depend on
such changes cannot be verified if they differ.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from service.channels import Channel
from service.clock import VirtualClock
from service.domain.diff import SILENT
from service.domain.model import Cause, Event, Kind, Task
from service.domain.operators.overrides import NEVER_OFF, OffPeriods
from service.domain.operators.silences import Silence
from service.domain.schedules import Schedule, Slot
from service.engine import Engine
from service.engine.decider import Decider
from service.engine.new_events import of_slot
from service.outbox import Identity
from service.rules.rule import Rule
from service.rules.ruleset import Ruleset
from service.rules.verdict import Outcome
from service.simulator.batches import Batch, left
from service.simulator.replay_transaction import Ending, ReplayTransaction, endings
from service.store.decisions import RecordedDecision
from service.store.history import PastDecision
from service.store.tasks import Key, TaskState, TaskUpdate

_ALL = 1_000_000_000
_UNRECORDED = SILENT - {"id", "account", "system", "done"}


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay: `missing` decisions are recorded and not repeated, `new` the reverse.

    `unproven` are decisions of either kind for which the record is incomplete.
    """

    events: int
    decisions: int
    missing: Sequence[RecordedDecision]
    new: Sequence[RecordedDecision]
    unproven: Sequence[RecordedDecision]


class Replay:
    """Processes the recorded history, with the rules that were active each time."""

    def __init__(
        self,
        rules: Mapping[str, Ruleset],
        zones: Mapping[str, ZoneInfo],
        ways: Mapping[str, type[Channel]],
        recorded: Sequence[PastDecision],
        placed: Iterable[tuple[Identity, bool]],
        silenced: Sequence[Silence],
        off: OffPeriods = NEVER_OFF,
    ) -> None:
        """`placed` are deliveries that were planned before, and are not planned again.

        Messages in `silenced` were not sent, and do not count. `off` is when people had switched
        rules off.
        """
        self._clock = VirtualClock(datetime.min.replace(tzinfo=UTC))
        self._endings = deque(endings(recorded))
        self._tx = ReplayTransaction(self._endings, silenced)
        self._tx.outbox.remember(placed)
        self._rules = rules
        self._zones = zones
        self._recorded = recorded
        self._slots = {one.decision.event: one.decision.rule for one in recorded if not one.task}
        self._deciders = {name: Decider(one, zones, ways, off) for name, one in rules.items()}
        self._engines = {
            name: Engine(decider, zones, self._clock) for name, decider in self._deciders.items()
        }

    async def run(
        self,
        known: AsyncIterator[tuple[Key, Task]],
        batches: AsyncIterator[Batch],
        progress: Callable[[int], None],
    ) -> Replayed:
        """Repeat all decisions; `progress` is called with the number of events that are processed.

        `known` are the tasks as they were before; they are read if a schedule selects from them.
        """
        if any(rule.reads_all_tasks for rules in self._rules.values() for rule in rules):
            await self._tx.tasks.save(
                [TaskUpdate(key, TaskState(task)) async for key, task in known]
            )
        events = 0
        async for batch in batches:
            while self._endings and self._endings[0].comes_before(batch):
                await self._end(self._endings.popleft())
            await self._decide(batch)
            events += sum(map(len, batch.groups))
            progress(events)
        while self._endings:
            await self._end(self._endings.popleft())
        return self._compared(events)

    def _compared(self, events: int) -> Replayed:
        made = set(self._tx.decisions.recorded)
        recorded = {
            one.decision for one in self._recorded if one.decision.outcome != Outcome.GIVEN_UP
        }
        missing, new = recorded - made, made - recorded
        unproven = set(filter(self._is_doubtful, missing | new))
        return Replayed(
            events,
            len(recorded),
            sorted(missing - unproven),
            sorted(new - unproven),
            sorted(unproven),
        )

    async def _decide(self, batch: Batch) -> None:
        happened = [event for group in batch.groups for event in group]
        is_by_clock = happened[0].cause is Cause.CLOCK
        await self._let_pass(batch.now, batch.rules_version, is_by_clock=is_by_clock)
        if happened[0].kind is Kind.SCHEDULED:
            for slot in _slots(happened):
                await self._fire(slot, batch)
            return
        await self._tx.tasks.save([_saved(event) for event in happened])
        await self._deciders[batch.rules_version].decide(self._tx, batch.groups, batch.now)

    async def _fire(self, events: Sequence[Event], batch: Batch) -> None:
        """Repeat the selection and the decision of the rule whose schedule has these events."""
        moment, *each = events
        rule = self._slots.get(moment.id) or self._silent_rule(moment, batch)
        if rule is None:
            return
        decider = self._deciders[batch.rules_version]
        schedule = Schedule(moment.alarm or "", self._zones[moment.account])
        slot = Slot(rule, moment.account, schedule, moment.at, moment.at, moment.outdated)
        chosen = await decider.choose(self._tx, slot, batch.now)
        numbers = {one.task_id: one.id for one in each}
        chosen_each = () if chosen is None else chosen.each
        asked = [draft(0) for draft in of_slot(slot, moment.at, chosen_each)[1:]]
        again = [replace(one, id=numbers.get(one.task_id, 0)) for one in asked]
        await decider.fire(self._tx, rule, [moment, *again], chosen, batch.now)

    def _silent_rule(self, moment: Event, batch: Batch) -> str | None:
        """The rule of a slot without any decision, if every possible rule should have made one.

        A rule that reads no tasks and does not match makes no decision: then nothing is missing.
        """
        rules = self._rules[batch.rules_version]
        zone = self._zones[moment.account]
        coming = rules.schedules({moment.account: zone})
        mine = [
            rule
            for (rule, _), schedule in coming.items()
            if schedule.cron == moment.alarm and not rules.reads_all_tasks(rule)
        ]
        verdicts = [rules.decide_scheduled(rule, moment, batch.now, zone, {}) for rule in mine]
        if any(one.outcome is Outcome.NOT_MATCHED for one in verdicts):
            return None
        return mine[0] if mine else None

    async def _end(self, ending: Ending) -> None:
        if ending.given_up:
            self._tx.forget(ending.over)
            return
        await self._let_pass(ending.at, ending.rules_version, is_by_clock=True)
        self._tx.end(ending.over)
        engine = self._engines[ending.rules_version]
        if ending.told:
            await engine.close_digests(self._tx, _ALL)
        else:
            await engine.finish_waits(self._tx, _ALL)

    async def _let_pass(self, moment: datetime, version: str, *, is_by_clock: bool) -> None:
        """Send what is due by then, each at its time, unless its rule has ended.

        Time-based events are processed before deliveries that are due at the same time.
        """
        while (due := self._tx.outbox.next_due()) is not None:
            if due > moment or (is_by_clock and due == moment):
                break
            await self._tx.send(self._rules[version], self._zones, max(due, self._clock.now()))
        self._clock.set(moment)

    def _is_doubtful(self, made: RecordedDecision) -> bool:
        rules = self._rules.get(made.rules_version)
        rule = None if rules is None else rules.get(made.rule)
        return (
            rule is not None and made.outcome != Outcome.GATHERED and _depends_on_unrecorded(rule)
        )


def _depends_on_unrecorded(rule: Rule) -> bool:
    """Whether its decisions on several tasks depend on changes that may not be recorded."""
    if rule.reads_all_tasks:
        return True
    if rule.grouping is None:
        return False
    read = set() if rule.until is None else {field for _, field in rule.until.reads}
    counted_from = rule.trigger.alarm.field if rule.trigger.alarm is not None else ""
    return not _UNRECORDED.isdisjoint({*read, counted_from})


def _slots(events: Iterable[Event]) -> list[list[Event]]:
    """Each slot with the tasks that it has selected, which follow it."""
    slots: list[list[Event]] = []
    for event in events:
        if not event.task_id:
            slots.append([])
        slots[-1].append(event)
    return slots


def _saved(event: Event) -> TaskUpdate:
    gone = event.at if event.after is None else None
    task = left(event) or event.task
    return TaskUpdate((event.account, event.task_id), TaskState(task, deleted_at=gone))
