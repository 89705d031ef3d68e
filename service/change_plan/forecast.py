"""Compares a configuration with the running one, and counts the effects on pending work."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import datetime

from service.change_plan import Change, ChangePlan, PendingEffect, Side
from service.change_plan.diff import compare_rules, compare_settings
from service.change_plan.pending_counts import Deliveries, Digests, Waits
from service.change_plan.timers import timers
from service.domain.system_actions import BUILT_IN
from service.outbox import account_lane, system_lane
from service.rules.preview import already_matching
from service.store.tasks import TaskState

_TO_BE_PASSED_OVER = {Change.ADDED, Change.CHANGED}


class Forecast:
    """The effects if `planned` replaced `running` (None: no configuration was ever loaded).

    `plan` is the result; each `add_…` method completes a part of it.
    """

    def __init__(self, running: Side | None, planned: Side) -> None:
        self._running = running
        self._planned = planned
        self.plan = _in_words(running, planned)
        self._rules = {one.rule: one for one in self.plan.rules}
        self._news = planned.rules.only(
            {one.rule for one in self.plan.rules if one.change in _TO_BE_PASSED_OVER}
        )

    @property
    def concerns_tasks(self) -> bool:
        """Whether tasks have to be read: alarms may change, or tasks may match new rules."""
        before = None if self._running is None else self._running.zones
        return before != self._planned.zones or not self.plan.is_nothing

    def add_waits(self, waits: Iterable[Waits]) -> None:
        """Count the effects on rules that wait because of `settle` or `for`."""
        for one in waits:
            if one.rule in self._rules:
                self._rules[one.rule].waits[self._effect_on_wait(one)] += one.count

    def add_digests(self, digests: Iterable[Digests]) -> None:
        """Count the effects on open digests of rules with `group`."""
        for one in digests:
            if one.rule in self._rules:
                self._rules[one.rule].digests[self._effect_on_digest(one)] += one.count

    def add_silences(self, silences: Mapping[str, int]) -> None:
        """Count the silences on accounts that end."""
        gone = self.plan.accounts_gone
        self.plan.silences_ended = {name: silences[name] for name in gone if name in silences}

    def add_deliveries(self, deliveries: Iterable[Deliveries]) -> None:
        """Count the effects on messages that are planned or held.

        They are sent as planned, even if their rule is removed, unless their channel or their
        account is removed.
        """
        gone = set()
        for one in deliveries:
            lost = self._removed_lane(one)
            fate = PendingEffect.KEPT if lost is None else PendingEffect.LOST
            gone |= set() if lost is None else {lost}
            if one.rule in self._rules:
                self._rules[one.rule].deliveries[fate] += one.count
        self.plan.lanes_gone = sorted(gone)

    async def add_tasks(
        self,
        tasks: AsyncIterable[tuple[str, TaskState]],
        now: datetime,
        progress: Callable[[int], None],
    ) -> None:
        """Count the tasks that already match new rules, and the effects on each alarm.

        `progress` is called with the number of tasks that are processed.
        """
        count = 0
        async for account, known in tasks:
            count += 1
            progress(count)
            self._add_timers(account, known, now)
            self._add_matching(account, known, now)

    def _add_timers(self, account: str, known: TaskState, now: datetime) -> None:
        if self._running is None:
            return
        for timer in timers(known, account, self._running, self._planned, now):
            plan = self._rules[timer.rule]
            plan.timers[timer.fate] += 1
            if timer.rings_at is not None:
                plan.next_ring = min(plan.next_ring or timer.rings_at, timer.rings_at)

    def _add_matching(self, account: str, known: TaskState, now: datetime) -> None:
        if known.present is None or account not in self._planned.zones:
            return
        found = already_matching(self._news, [known.present], self._planned.zones, now)
        for rule, count in found.items():
            self._rules[rule].matching += count

    def _effect_on_wait(self, wait: Waits) -> PendingEffect:
        """The effect of `Engine.finish_waits` and `Decider.settle` when the wait is over.

        If its account is removed, the wait is cancelled before.
        """
        rule = self._planned.rules.get(wait.rule)
        if wait.account not in self._planned.zones:
            return PendingEffect.LOST
        if rule is None or (rule.accounts is not None and wait.account not in rule.accounts):
            return PendingEffect.LOST
        return PendingEffect.KEPT

    def _effect_on_digest(self, digest: Digests) -> PendingEffect:
        """The effect of `Decider.close`, unless its account is removed and the digest cancelled.

        Tasks of accounts that the rule is no longer for are left out.
        """
        rule = self._planned.rules.get(digest.rule)
        if rule is None or rule.grouping is None or digest.account not in self._planned.zones:
            return PendingEffect.LOST
        left = digest.members if rule.accounts is None else digest.members & rule.accounts
        return PendingEffect.KEPT if left or rule.grouping.when_empty else PendingEffect.LOST

    def _removed_lane(self, pending: Deliveries) -> str | None:
        """The removed account or channel because of which these messages are cancelled."""
        if pending.account not in self._planned.zones:
            return account_lane(pending.account)
        return None if self._has_lane(pending.lane) else pending.lane

    def _has_lane(self, lane: str) -> bool:
        own = (system_lane(name, action) for name in self._planned.zones for action in BUILT_IN)
        return lane in self._planned.channels or lane in own


def _in_words(running: Side | None, planned: Side) -> ChangePlan:
    text = "" if running is None else running.rules.text
    known = {} if running is None else running.zones
    return ChangePlan(
        running=None if running is None else running.rules.version,
        planned=planned.rules.version,
        rules=compare_rules(text, planned.rules.text),
        settings=() if running is None else compare_settings(text, planned.rules.text),
        accounts_added=sorted(planned.zones.keys() - known.keys()),
        accounts_gone=sorted(known.keys() - planned.zones.keys()),
    )
