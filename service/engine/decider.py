"""From events to deliveries: evaluate the rules, store decisions, fill the outbox."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from service.channels import Channel
from service.domain.alarms import OVERDUE, Alarm
from service.domain.digests import Digest, DigestRebuild
from service.domain.durations import in_words
from service.domain.model import Event, Observation
from service.domain.operators.overrides import NEVER_OFF, OffPeriods
from service.domain.schedules import LATE, Slot, lateness
from service.domain.storms import StormScope
from service.domain.system_actions import BUILT_IN, written_to
from service.engine import together
from service.engine.for_each import Counted, Selected, choose, count
from service.engine.for_waits import ForWaits
from service.engine.limits import within_limits
from service.engine.loop_guard import without_loops
from service.engine.net_change import NetChange
from service.engine.new_events import of_slot
from service.engine.off_periods import unless_off
from service.engine.transaction import Transaction
from service.outbox import DeliveryRequest, Identity, Lanes, Placed, gates, system_lane
from service.rules.cancellation import escalation_ends
from service.rules.ruleset import Ruleset
from service.rules.verdict import Outcome, Plan, Verdict
from service.store.decisions import Decision
from service.store.tasks import Key

EventVerdict: TypeAlias = tuple[Event, Verdict]

_SETTLE_MOST = timedelta(days=1)
_FIRED = frozenset({Outcome.MATCHED, Outcome.SETTLING, Outcome.GATHERED, Outcome.MISSED})
_SAID = frozenset({Outcome.MATCHED, Outcome.GATHERED, Outcome.FAILED, Outcome.MISSED})


class Decider:
    """Evaluates the active rules for events and carries out their verdicts.

    `zones` has the time zone of each account, `ways` the channels that rules can use, by name,
    `off` when people had switched rules off. The lanes that are returned have something to claim.
    """

    def __init__(
        self,
        rules: Ruleset,
        zones: Mapping[str, ZoneInfo],
        ways: Mapping[str, type[Channel]],
        off: OffPeriods = NEVER_OFF,
    ) -> None:
        self._rules = rules
        self._off = off
        self._zones = zones
        self._ways = ways
        self.version = rules.version
        self.alarms: frozenset[Alarm] = rules.alarms | {OVERDUE}
        self.lasting = rules.lasting
        self.schedules = rules.schedules(zones)
        self.together = rules.together

    async def written_by_us(
        self, tx: Transaction, seen: Sequence[Observation]
    ) -> Mapping[Key, frozenset[str]]:
        """The fields of these tasks that Taskbell is writing; empty if no rule writes."""
        if not self._rules.writes:
            return {}
        return await tx.provenance.writes_under_way(seen)

    async def decide(
        self, tx: Transaction, groups: Sequence[Sequence[Event]], now: datetime
    ) -> Lanes:
        """Let the rules decide on events that were just stored.

        The events of one group come from one observation of one task.
        """
        lasting = await ForWaits.about(tx, self._rules, self._zones, groups)
        verdicts: list[EventVerdict] = []
        for group in groups:
            await self._write_down(tx, await lasting.end(group, now), now)
            ruled = self._verdicts(group, now)
            verdicts += ruled
            for event, verdict in ruled:
                if verdict.outcome is Outcome.SETTLING:
                    await self._wait(tx, event, verdict, now)
                    lasting.begin(verdict.rule, event)
            # A condition that began and ended in one observation ends its wait at once.
            await self._write_down(tx, await lasting.end(group, now), now)
        happened = [event for group in groups for event in group]
        # Before the new messages: what happened together with their event does not end them.
        lanes = await self._end_escalations(tx, happened, now)
        lanes |= await self._carry_out(tx, verdicts, now)
        await tx.outbox.withdraw(happened, now)
        await self._end_by_until(tx, happened, now)
        return lanes | await tx.outbox.take_back(happened, now)

    async def settle(self, tx: Transaction, quiet: Sequence[NetChange], now: datetime) -> Lanes:
        """Let rules whose wait is over decide on the changes that remain.

        Every decision is stored, also one that did not match: nothing else records that a wait has
        ended.
        """
        decided = [
            (one, one.verdict(self._rules, now, self._zones[one.first.account])) for one in quiet
        ]
        verdicts = [found for _, found in decided if found is not None]
        idle = [
            Decision(one.first.id, one.rule, Outcome.NOT_MATCHED, one.idleness(self._rules))
            for one, found in decided
            if found is None
        ]
        await self._write_down(tx, [*idle, *_not_matched(verdicts)], now)
        return await self._carry_out(tx, verdicts, now)

    async def _write_down(
        self, tx: Transaction, decisions: Sequence[Decision], now: datetime
    ) -> None:
        """Store decisions made by the rules of this version."""
        if decisions:
            await tx.decisions.insert(decisions, self._rules.version, now)

    async def close(self, tx: Transaction, over: Sequence[Digest], now: datetime) -> Lanes:
        """Let rules send the digests whose collection period is over.

        If nothing remains to send, because the tasks or the rule are gone, the decision says so.
        """
        told = [
            (one, self._rules.decide_digest(one, now, self._zones))
            for one in over
            if one.account in self._zones
        ]
        verdicts = [found for _, found in told if found is not None]
        reason = "the rule was removed or switched off before its combined message was sent"
        orphans = [
            Decision(one.event, one.rule, Outcome.NOT_MATCHED, reason, one.key)
            for one, found in told
            if found is None
        ]
        await self._write_down(tx, [*orphans, *_not_matched(verdicts)], now)
        return await self._carry_out(tx, verdicts, now)

    def rebuild_digest(self, one: DigestRebuild, now: datetime) -> DeliveryRequest | str:
        """Rebuild a customer digest without the tasks that no longer qualify, or return why not."""
        plan = self._rules.rebuild_digest(one, now, self._zones[one.event.account])
        return plan if isinstance(plan, str) else self.replacement(one.event, one.rule, plan)

    def replacement(self, event: Event, rule: str, plan: Plan) -> DeliveryRequest:
        """A request in place of another one, whose share of the `limit` it uses."""
        request = self._order(event, rule, plan)
        return replace(request, is_limited=rule in self._rules.limits and not request.is_over)

    async def choose(self, tx: Transaction, slot: Slot, now: datetime) -> Selected | Counted | None:
        """What the rule needs of all tasks of its accounts: a selection, answers, or nothing."""
        selection, questions = self._rules.selection(slot.rule), self._rules.counts(slot.rule)
        zones = together.zones_of(self.together, self._zones, slot)
        if questions:
            moment = of_slot(slot, slot.at or slot.due)[0](0)
            return await count(tx, questions, moment, now, zones)
        if selection is None:
            return None
        is_group = self._rules.gathers(slot.rule)
        return await choose(tx, selection, zones, now, together=is_group)

    async def fire(
        self,
        tx: Transaction,
        rule: str,
        events: Sequence[Event],
        chosen: Selected | Counted | None,
        now: datetime,
    ) -> Lanes:
        """Let a rule decide whose schedule is due.

        `events` is the slot itself, followed by one event for each task to evaluate. The rule
        decides once about the slot if no tasks were `chosen`, once about all chosen tasks if it has
        `group`, and otherwise once for each of them. A slot that is too late is only recorded.
        """
        moment = events[0]
        verdicts = self._on_schedule(rule, events, chosen, now)
        is_missed = now - moment.at > LATE
        if is_missed:
            reason = f"too late: the scheduled time was more than {in_words(LATE)} ago"
            verdicts = [(event, one.too_late(event.id, reason)) for event, one in verdicts]
        verdicts = [(event, unless_off(event, one, self._off)) for event, one in verdicts]
        if isinstance(chosen, Selected):
            matched = Outcome.MISSED if is_missed else Outcome.MATCHED
            outcome = matched if chosen.tasks else Outcome.NOT_MATCHED
            reason = f"schedule {moment.alarm}{lateness(moment.at, now)}: {chosen.reason}"
            reason += together.as_last_read(moment)
            said = Decision(moment.id, rule, outcome, reason)
            await self._write_down(tx, [said], now)
        elif chosen is not None:
            await self._write_down(tx, _not_matched(verdicts), now)
        return await self._carry_out(tx, verdicts, now)

    def _on_schedule(
        self, rule: str, events: Sequence[Event], chosen: Selected | Counted | None, now: datetime
    ) -> list[EventVerdict]:
        moment, *each = events
        zone = self._zones[moment.account]
        if isinstance(chosen, Selected) and chosen.together:
            told = self._rules.decide_selection(rule, moment, chosen.tasks, now, self._zones)
            return [(moment, one) for one in told]
        if isinstance(chosen, Selected):
            return [(one, self._rules.decide_scheduled(rule, one, now, zone, {})) for one in each]
        answers = {} if chosen is None else chosen.answers
        found = self._rules.decide_scheduled(rule, moment, now, zone, answers)
        if chosen is not None:
            said = f"{found.reason}; {chosen.reason}{together.as_last_read(moment)}"
            found = replace(found, reason=said)
        return [(moment, found)]

    def _verdicts(self, group: Sequence[Event], now: datetime) -> list[EventVerdict]:
        """The verdicts; a rule that several events of one observation trigger fires once."""
        fired: set[str] = set()
        verdicts = []
        for event in group:
            for decided in self._rules.decide(event, now, self._zones[event.account]):
                verdict = unless_off(event, decided, self._off)
                if verdict.rule not in fired:
                    verdicts.append((event, verdict))
                if verdict.outcome in _FIRED:
                    fired.add(verdict.rule)
        return verdicts

    async def _wait(self, tx: Transaction, event: Event, verdict: Verdict, now: datetime) -> None:
        if verdict.settle is None:
            raise ValueError(f"rule {verdict.rule} settles, and does not say for how long")
        most = verdict.settle_max or max(_SETTLE_MOST, verdict.settle)
        await tx.waits.start(verdict.rule, event, now, verdict.settle, most)

    async def _carry_out(
        self, tx: Transaction, verdicts: Sequence[EventVerdict], now: datetime
    ) -> Lanes:
        """Fill the outbox, add events to their digests, and store the decisions."""
        requests = await self._requests(tx, verdicts)
        placed = await tx.outbox.place(requests, now) if requests else Placed()
        joins = [
            together.join(self._rules, self._zones, event, verdict, now)
            for event, verdict in verdicts
            if verdict.joining is not None
        ]
        if joins:
            await tx.digests.join(joins, now)
        said = [
            _decision(event, verdict, _reason(verdict, placed.new))
            for event, verdict in verdicts
            if verdict.outcome in _SAID
        ]
        await self._write_down(tx, said, now)
        asking = [request.asks for request in requests if request.asks is not None]
        waiting = [one for one in requests if one.identity not in placed.begun]
        return frozenset(one.lane for one in (*waiting, *asking) if one.plan.send_at <= now)

    async def _requests(
        self, tx: Transaction, verdicts: Sequence[EventVerdict]
    ) -> list[DeliveryRequest]:
        """The requests of these verdicts; those that would loop or exceed a limit are skipped."""
        requests = [
            self._order(event, verdict.rule, plan)
            for event, verdict in verdicts
            for plan in verdict.plans
        ]
        requests = await without_loops(tx, requests)
        return await within_limits(tx, requests, self._rules.limits)

    def _order(self, event: Event, rule: str, plan: Plan) -> DeliveryRequest:
        return DeliveryRequest(
            event=event,
            rule=rule,
            plan=plan,
            lane=self._lane(event.account, plan),
            at_most_once=self._ways[plan.channel].at_most_once,
            on_fail=tuple(self._order(event, rule, instead) for instead in plan.on_fail),
            asks=None if plan.asks is None else self._order(event, rule, plan.asks),
            flood=self._flood(event, rule, plan),
        )

    def _flood(self, event: Event, rule: str, plan: Plan) -> StormScope | None:
        """The group in which the storm guard counts it; None if only machines read the channel."""
        if not self._ways[plan.channel].reaches_people:
            return None
        task = event.after or event.before
        if plan.reaches_customer:
            return StormScope(event.account)
        if plan.channel == "employee" and task is not None and task.assignee is not None:
            person = task.assignee.id or task.assignee.email or task.assignee.name
            return StormScope(event.account, rule, f"employee:{person}")
        return StormScope(event.account, rule, plan.receiver)

    @staticmethod
    def _lane(account: str, plan: Plan) -> str:
        if plan.channel not in BUILT_IN:
            return plan.channel
        return system_lane(written_to(account, plan.channel, plan.target), plan.channel)

    async def _end_escalations(
        self, tx: Transaction, happened: Sequence[Event], now: datetime
    ) -> Lanes:
        """Cancel escalations that these events end; the earlier messages say so where they can."""
        over = escalation_ends(happened, self._zones) if self._rules.escalates else []
        if not over:
            return frozenset()
        rewritable = [name for name, way in self._ways.items() if "update" in way.undoes]
        return await tx.outbox.end_escalations(over, rewritable, now)

    async def _end_by_until(
        self, tx: Transaction, happened: Sequence[Event], now: datetime
    ) -> None:
        """Cancel pending deliveries of rules whose `until` has become true."""
        if not self._rules.with_until:
            return
        tasks = {(event.account, event.task_id): event.after for event in happened}
        pending = await tx.outbox.pending(tasks, self._rules.with_until)
        ended = [
            delivery
            for delivery, rule, account, task_id in pending
            if (task := tasks[account, task_id]) is not None and self._rules.until(rule, task, now)
        ]
        if ended:
            await tx.outbox.cancel(ended, gates.UNTIL_IS_TRUE, now)


def _not_matched(verdicts: Iterable[EventVerdict]) -> list[Decision]:
    """The decisions of rules that waited or collected a digest, and then had nothing to send."""
    return [
        _decision(event, verdict, verdict.reason)
        for event, verdict in verdicts
        if verdict.outcome is Outcome.NOT_MATCHED
    ]


def _decision(event: Event, verdict: Verdict, reason: str) -> Decision:
    return Decision(event.id, verdict.rule, verdict.outcome, reason, verdict.group)


def _reason(verdict: Verdict, placed: Collection[Identity]) -> str:
    """The verdict's own reason, and which of its messages were planned before."""
    again = dict.fromkeys(
        str(plan.step)
        for plan in verdict.plans
        if (verdict.rule, plan.step, plan.once_key, plan.target) not in placed
    )
    if not again:
        return verdict.reason
    steps = f"step {', '.join(again)}"
    return f"{verdict.reason}; {steps} not sent again: planned or sent before (`once_per`)"
