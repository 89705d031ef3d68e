"""The engine: processes every input in one transaction.

A transaction locks the tasks, computes their events, evaluates the rules, and stores task states,
events, decisions and deliveries. Each kind of input has a method:

- `observe`: observations of tasks, from webhooks, polls and reads by id
- `take_signals`: signals from webhooks
- `acknowledge`: tasks that people acknowledge
- `fire_alarms`: due alarms of tasks
- `finish_waits`: rules whose wait is over
- `close_digests`: digests whose collection period is over
- `fire_schedule`: due schedules
- `recompute_alarms`: tasks whose alarms come from an earlier configuration

Time-based input (`fire_alarms`, `finish_waits`, `close_digests`, `fire_schedule`) is suspended for
an account that no worker handled, or that could not be read, until its next full sync.

The caller opens the transaction, so that it can delete the receipt or the lookup in the transaction
that stores the results.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from service import metrics
from service.clock import Clock
from service.domain.digests import DigestRebuild
from service.domain.directory import NOBODY, Directory
from service.domain.model import (
    Cause,
    Event,
    Observation,
    Task,
)
from service.domain.signals import Acknowledgement, Signal
from service.engine import together
from service.engine.alarm_clock import AlarmClock
from service.engine.announced import PendingAnnouncements
from service.engine.decider import Decider
from service.engine.effects import Effects
from service.engine.intake import Intake
from service.engine.net_change import NetChange
from service.engine.new_events import EventFactory, of_acknowledgement, of_signal, of_slot
from service.engine.postgres import PostgresTransaction
from service.engine.tracking import acknowledged
from service.engine.transaction import Transaction
from service.outbox import DeliveryRequest, Lanes
from service.rules.verdict import Plan
from service.store import Pool, alarm_sets, schedules
from service.store.tasks import Key, TaskState
from service.store.waits import Wait

log = structlog.get_logger()

# How long an alarm set stays active that no process renews.
IN_FORCE = timedelta(minutes=1)


class Engine:
    """Turns observations into events and deliveries.

    `zones` has the time zone of every account. `pushed` are the accounts that send webhooks: a
    change that only a poll finds in them is counted as missed by a webhook. `people` completes what
    systems do not report about people.

    Each method reads the clock once, so that all its effects have the same time. The caller passes
    the returned effects to `after_commit` after the commit.
    """

    def __init__(
        self,
        decider: Decider,
        zones: Mapping[str, ZoneInfo],
        clock: Clock,
        *,
        pushed: frozenset[str] = frozenset(),
        people: Directory = NOBODY,
    ) -> None:
        self._people = people
        self._pushed = pushed
        self._decider = decider
        self._zones = zones
        self._clock = clock
        self._alarm_clock = AlarmClock(decider.alarms, zones)
        self._intake = Intake(people, zones, self._alarm_clock.dates)
        self.schedules = decider.schedules

    async def activate(self, pool: Pool) -> None:
        """Activate the alarms and schedules that these rules and zones require."""
        now = self._clock.now()
        await alarm_sets.put_in_force(pool, self._alarm_clock.alarm_sets, now, now + IN_FORCE)
        await schedules.put_in_force(pool, list(self._zones), self.schedules, now)

    async def renew(self, pool: Pool) -> None:
        """Renew the alarm sets and schedules; called several times a minute, as a heartbeat.

        A schedule that a wrong clock had postponed is moved back to its right time.
        """
        now = self._clock.now()
        await alarm_sets.keep_in_force(pool, self._alarm_clock.alarm_sets, now, now + IN_FORCE)
        if self.schedules:
            await schedules.bring_forward(pool, self.schedules, now)

    async def observe(self, tx: Transaction, seen: Sequence[Observation]) -> Effects:
        """Process observations of tasks, in any order."""
        now = self._clock.now()
        known = await tx.tasks.lock((look.account, look.task_id) for look in seen)
        states = await tx.accounts.read({look.account for look in seen})
        ours = await self._decider.written_by_us(tx, seen)
        awaiting = [key for key in known if states[key[0]].awaits]
        announced = await PendingAnnouncements.about(tx, seen, awaiting)
        taken = self._intake.take(seen, known, states, ours, announced, now)
        if announced.over:
            await tx.announcements.forget(announced.over)
        await tx.lookups.ask(taken.to_reread, Cause.WEBHOOK, now)
        await tx.lookups.ask_again(taken.older, now)
        await self._save(tx, taken.changed, now)
        await tx.tasks.forget_placeholders(_placeholders(known, taken.changed))
        after = await self._follow(tx, taken.happened, now)
        return replace(after, unproven=tuple(taken.unproven))

    async def take_signals(self, tx: Transaction, signals: Sequence[Signal]) -> Effects:
        """Process signals; a signal about an unknown task is ignored."""
        now = self._clock.now()
        known = await tx.tasks.lock((one.account, one.task_id) for one in signals)
        happened = [
            [of_signal(signal, known[signal.account, signal.task_id])]
            for signal in signals
            if known[signal.account, signal.task_id].present
        ]
        await tx.tasks.forget_placeholders(_placeholders(known, {}))
        return await self._follow(tx, happened, now)

    async def acknowledge(self, tx: Transaction, said: Sequence[Acknowledgement]) -> Effects:
        """Process acknowledgements, in order; of a task that is not open they mean nothing."""
        now = self._clock.now()
        known = await tx.tasks.lock((one.account, one.task_id) for one in said)
        changed: dict[Key, TaskState] = {}
        happened = []
        for one in said:
            key = one.account, one.task_id
            last = changed.get(key, known[key])
            state = acknowledged(last, one)
            if state is not None and last.task is not None and state.task is not None:
                changed[key] = state
                happened.append([of_acknowledgement(one, last.task, state.task)])
        await self._save(tx, changed, now)
        await tx.tasks.forget_placeholders(_placeholders(known, changed))
        return await self._follow(tx, happened, now)

    async def fire_alarms(self, tx: Transaction, limit: int) -> tuple[int, Effects]:
        """Fire due alarms, of up to `limit` tasks of each account; returns the number of tasks."""
        now = self._clock.now()
        active = await self._active_accounts(tx, now)
        ids = {
            name: alarm_set for name, alarm_set in self._alarm_clock.ids.items() if name in active
        }
        known = await tx.tasks.lock_due(ids, now, limit)
        if not known:
            return 0, Effects()
        happened = [self._alarm_clock.due_events(key, one, now) for key, one in known.items()]
        announced_until = {key: self._alarm_clock.announce(one, now) for key, one in known.items()}
        await self._save(tx, announced_until, now)
        return len(known), await self._follow(tx, happened, now)

    async def import_silently(self, tx: Transaction, seen: Sequence[Observation]) -> None:
        """Store tasks without events, as in a first sync; past alarms count as announced."""
        now = self._clock.now()
        known = {
            (one.account, one.task_id): TaskState(
                one.task and self._people.filled(one.task),
                version=one.version,
                observed_at=one.observed_at,
                fingerprint=one.fingerprint,
            )
            for one in seen
        }
        told = {key: self._alarm_clock.announce(one, now) for key, one in known.items()}
        await self._save(tx, told, now)

    async def adopt_alarms(self, tx: Transaction, known: Mapping[Key, TaskState]) -> None:
        """Recompute the alarms of these tasks with the current alarm set, whichever they had."""
        fresh = {key: replace(one, alarm_set=None) for key, one in known.items()}
        await self._save(tx, fresh, self._clock.now())

    async def recompute_alarms(self, tx: PostgresTransaction, limit: int) -> tuple[int, Effects]:
        """Recompute the alarms of up to `limit` tasks of an outdated alarm set; returns how many.

        Alarms of the old set that were due when the current one was activated, and have not fired,
        fire now. A new alarm does not fire for a time before the activation.
        """
        now = self._clock.now()
        active = await self._active_accounts(tx, now)
        mine = {name: one for name, one in self._alarm_clock.alarm_sets.items() if name in active}
        old = await alarm_sets.outdated(tx.connection, mine)
        if old is None:
            return 0, Effects()
        known = await tx.tasks.lock_watched(old.account, old.id, limit)
        happened = [
            self._alarm_clock.missed_alarms(key, one, old, now) for key, one in known.items()
        ]
        taken_over = {key: self._alarm_clock.adopt_alarms(one, old) for key, one in known.items()}
        await self._save(tx, taken_over, now)
        return len(known), await self._follow(tx, happened, now)

    async def finish_waits(self, tx: Transaction, limit: int) -> tuple[int, Effects]:
        """Let rules decide whose wait is over; returns the number of waits.

        Rules with `for` decide on the task as it is now, those with `settle` on the net change.
        """
        now = self._clock.now()
        over = await tx.waits.over(await self._active_accounts(tx, now), now, limit)
        if not over:
            return 0, Effects()
        known = await tx.tasks.lock(over)
        waits = await tx.waits.take(list(known), now)
        left = [self._net_change(wait, known[wait.key].present, now) for wait in waits]
        return len(waits), Effects(await self._decider.settle(tx, left, now))

    def _net_change(self, wait: Wait, current: Task | None, now: datetime) -> NetChange:
        if wait.rule in self._decider.lasting:
            return NetChange.lasted(wait, current, now)
        return NetChange.settled(wait, current, now)

    async def close_digests(self, tx: Transaction, limit: int) -> tuple[int, Effects]:
        """Let rules decide on digests whose collection period is over; returns how many."""
        now = self._clock.now()
        active = await self._active_accounts(tx, now)
        over = await tx.digests.take(
            active, now, limit, await together.due_until(tx, self._decider.together, active, now)
        )
        if not over:
            return 0, Effects()
        joint = self._decider.together
        known = [
            replace(one, outdated=await together.outdated(tx, joint, one.rule, now)) for one in over
        ]
        return len(over), Effects(await self._decider.close(tx, known, now))

    def rebuild_digest(self, one: DigestRebuild) -> DeliveryRequest | str:
        """Rebuild a customer digest without the tasks that no longer qualify, or return why not.

        The caller places the new request in the transaction that cancels the original delivery.
        """
        return self._decider.rebuild_digest(one, self._clock.now())

    def replacement(self, event: Event, rule: str, plan: Plan) -> DeliveryRequest:
        """A request for the same message with another plan; to be placed in the same way."""
        return self._decider.replacement(event, rule, plan)

    async def fire_schedule(self, tx: Transaction) -> tuple[int, Effects]:
        """Let one rule decide whose schedule is due; returns the number of slots processed, 0 or 1.

        If no worker ran when a slot was due, the slot is processed up to an hour late. After that,
        it is only recorded, with the messages that would have been sent.
        """
        if not self.schedules:
            return 0, Effects()
        now = self._clock.now()
        active = await self._active_accounts(tx, now)
        joint = await together.due_until(tx, self._decider.together, active, now)
        slots = {
            key: one for key, one in self.schedules.items() if key[1] in active or key[0] in joint
        }
        slot = await tx.schedules.take(slots, now, joint)
        if slot is None:
            return 0, Effects()
        outdated = await together.outdated(tx, self._decider.together, slot.rule, now)
        slot = replace(slot, outdated=outdated)
        if slot.at is None:
            log.warning("schedule.missed", rule=slot.rule, account=slot.account, due=slot.due)
        chosen = await self._decider.choose(tx, slot, now)
        each = () if chosen is None else chosen.each
        [events] = await self._recorded(tx, [of_slot(slot, slot.at or slot.due, each)], now)
        lanes = await self._decider.fire(tx, slot.rule, events, chosen, now)
        return 1, Effects.of(lanes, events)

    async def _active_accounts(self, tx: Transaction, now: datetime) -> Collection[str]:
        """The accounts whose timers may fire: their data is not outdated."""
        return self._zones.keys() - await tx.accounts.stale(self._zones.keys(), now)

    def after_commit(self, after: Effects) -> Lanes:
        """Count the events, after they are committed; returns the lanes to wake up."""
        for (account, kind, cause), count in after.events.items():
            metrics.events.labels(account, kind).inc(count)
            if cause is Cause.POLL and account in self._pushed:
                metrics.missed_by_webhook.labels(account).inc(count)
        return after.lanes

    async def _save(self, tx: Transaction, changed: Mapping[Key, TaskState], now: datetime) -> None:
        await tx.tasks.save([self._alarm_clock.set(key, one, now) for key, one in changed.items()])

    async def _follow(
        self, tx: Transaction, happened: Sequence[Sequence[EventFactory]], now: datetime
    ) -> Effects:
        """Number and store the events, one list for each observation, and let the rules decide."""
        if not any(happened):
            return Effects()
        groups = await self._recorded(tx, happened, now)
        lanes = await self._decider.decide(tx, groups, now)
        return Effects.of(lanes, (event for group in groups for event in group))

    async def _recorded(
        self, tx: Transaction, happened: Sequence[Sequence[EventFactory]], now: datetime
    ) -> list[list[Event]]:
        """Number and store the events; returns them."""
        ids = iter(await tx.events.allot_ids(sum(len(group) for group in happened)))
        groups = [[draft(next(ids)) for draft in group] for group in happened]
        stored = [event for group in groups for event in group]
        await tx.events.insert(stored, self._decider.version, now)
        return groups


def _placeholders(known: Mapping[Key, TaskState], changed: Mapping[Key, TaskState]) -> list[Key]:
    return [key for key, one in known.items() if one.observed_at is None and key not in changed]
