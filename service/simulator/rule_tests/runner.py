"""Runs a rule test: after each step, compares the results of the rules with the expected ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from service.channels import Channel, ways
from service.config import RulesConfig
from service.config.rule_tests import Expected, RuleTest, RuleTestStep, Values
from service.config.rule_tests.tasks import changed
from service.domain.directory import Directory
from service.domain.model import (
    Cause,
    Observation,
    Task,
)
from service.domain.signals import Signal
from service.rules.ruleset import Ruleset
from service.simulator import Simulator
from service.simulator.memory.fallback import Failing
from service.simulator.rule_tests.actual import Actual, actual, is_loud
from service.simulator.rule_tests.reasons import Reason, Reasons


@dataclass(frozen=True, slots=True)
class RuleTestStage:
    """The environment of tests: rules, time zones and systems of accounts, and channels.

    `zone` is that of the tests themselves. `zones` and `systems` are by account, `ways` has every
    channel that rules can use, by its name. `people` is the directory.
    """

    rules: Ruleset
    zone: ZoneInfo
    zones: Mapping[str, ZoneInfo]
    systems: Mapping[str, str]
    ways: Mapping[str, type[Channel]]
    people: Directory

    @classmethod
    def of(cls, config: RulesConfig) -> Self:
        """The environment for a configuration's rules, all of them as if they were enabled."""
        return cls(
            config.on_trial,
            config.timezone,
            config.zones,
            config.systems,
            ways(config.kinds),
            config.people,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A step with other results than expected: missing ones and unexpected ones.

    `besides` are results that need not be expected: something was held, for instance, or cancelled.
    `reasons` are the events of the tasks since the previous step, and the decisions of the rules.
    """

    place: str
    at: datetime
    missing: Sequence[Expected]
    unexpected: Sequence[Actual]
    besides: Sequence[Actual]
    reasons: Sequence[Reason]


@dataclass(frozen=True, slots=True)
class RuleTestResult:
    """The result of a test; without failures it passed."""

    trial: RuleTest
    failures: Sequence[Failure]


async def run(trial: RuleTest, stage: RuleTestStage) -> RuleTestResult:
    """Run the steps of a test."""
    running = RuleTestRun(trial, stage)
    await running.begin()
    failures = [await _failure(running, step) for step in trial.steps]
    return RuleTestResult(trial, [one for one in failures if one is not None])


async def _failure(running: "RuleTestRun", step: RuleTestStep) -> Failure | None:
    """Take a step; what was wrong with its results, if it expects any."""
    came, reasons = await running.take(step)
    if step.expected is None:
        return None
    missing, others = compared(step.expected, came)
    unexpected = [one for one in others if is_loud(one)]
    if not missing and not unexpected:
        return None
    besides = [one for one in others if not is_loud(one)]
    return Failure(step.place, step.at, missing, unexpected, besides, reasons)


class RuleTestRun:
    """A test under way, on a simulator of its own."""

    def __init__(self, trial: RuleTest, stage: RuleTestStage) -> None:
        rules = stage.rules.only(trial.rules)
        self._trial = trial
        self._stage = stage
        self._simulator = Simulator(
            rules, stage.zones, stage.ways, trial.start, trial.silences, stage.people
        )
        self._reasons = Reasons(self._simulator.tx, rules, stage.zones, stage.zone)
        self._tasks: dict[str, Task] = {}
        self._reported = 0

    @property
    def next_moment(self) -> datetime | None:
        """When something is due next (UTC); None if nothing is."""
        return self._simulator.tx.next_moment()

    @property
    def is_pending(self) -> bool:
        """Whether a message, a combined message or a rule waits."""
        tx = self._simulator.tx
        waiting = (tx.waits.next_moment(), tx.digests.next_moment(), tx.outbox.next_due())
        return any(moment is not None for moment in waiting)

    async def begin(self) -> None:
        """Have the tasks that exist at the start."""
        given = self._trial.given.items()
        await self._simulator.begin([self._observation(one, values) for one, values in given])

    async def take(self, step: RuleTestStep) -> tuple[list[Actual], list[Reason]]:
        """Move on to the step, and do what it says: the results since the step before, and why."""
        self._simulator.tx.outbox.failing = Failing(step.fails)
        await self._simulator.go_on(step.at)
        for task_id, values in step.changes.items():
            await self._simulator.observe(
                [self._observation(task_id, self._dated(task_id, values))]
            )
        now = self._simulator.clock.now()
        signals = [
            Signal(self._account_of(one), one, name, now) for one, name in step.signals.items()
        ]
        await self._simulator.take_signals(signals)
        return self._new_results(), self._reasons.new()

    def _dated(self, task_id: str, values: Values | None) -> Values | None:
        """With the dates that a system would set for a new or changed task."""
        if values is None:
            return None
        now = self._simulator.clock.now()
        created = {} if task_id in self._tasks else {"created_at": now}
        return {**created, "updated_at": now, **values}

    def _observation(self, task_id: str, values: Values | None) -> Observation:
        now, account = self._simulator.clock.now(), self._account_of(task_id, values)
        if values is None:
            self._tasks.pop(task_id, None)
        else:
            new = Task(id=task_id, account=account, system=self._stage.systems[account])
            task = changed(self._tasks.get(task_id, new), values, now)
            # No system keeps this: the engine does, until the task has changed.
            self._tasks[task_id] = replace(task, acknowledged=False, acknowledged_by=None)
            return Observation(account, task_id, task, now, Cause.WEBHOOK)
        return Observation(account, task_id, None, now, Cause.WEBHOOK)

    def _account_of(self, task_id: str, values: Values | None = None) -> str:
        known = self._tasks.get(task_id)
        if known is not None:
            return known.account
        return (values or {}).get("account") or self._trial.account

    def _new_results(self) -> list[Actual]:
        """The results of the rules since the last call."""
        outbox = self._simulator.tx.outbox
        results = [actual(one, self._stage.zone) for one in outbox.results_since(self._reported)]
        self._reported = outbox.changes
        return results


def compared(
    expected: Iterable[Expected], came: Iterable[Actual]
) -> tuple[list[Expected], list[Actual]]:
    """The expected results that are missing, and the unexpected ones."""
    left = list(came)
    missing = []
    # The most detailed first: else a vague expectation takes what an exact one needs.
    for wanted in sorted(expected, key=lambda one: one.demands, reverse=True):
        found = next((one for one in left if one.meets(wanted)), None)
        if found is None:
            missing.append(wanted)
        else:
            left.remove(found)
    return missing, left
