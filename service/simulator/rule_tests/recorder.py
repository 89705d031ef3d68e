"""Makes a rule test of what happened to a task: it expects what the rule does about that now."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from service.config.rule_tests import Expected, RuleTest, RuleTestStep, Values
from service.domain.model import Task
from service.domain.system_actions import WRITES
from service.rules.rule import Rule
from service.simulator.rule_tests.actual import Actual
from service.simulator.rule_tests.past import (
    Past,
    PastStep,
    difference,
    fields_of,
    full_second,
    past_of,
)
from service.simulator.rule_tests.runner import RuleTestRun, RuleTestStage
from service.store.views.task_history import TaskHistory

_MOST_MOMENTS = 1_000  # at which the rule may do something
_MOST_STEPS = 60
_LONGEST_TEXT = 200
_LONGEST_NAME = 80


class TooLongError(Exception):
    """The rule does too much in this time for a test that people read."""


async def record(
    papers: TaskHistory, rule: Rule, stage: RuleTestStage, now: datetime
) -> RuleTest | None:
    """A test of this rule on the task's stored history; None if the task was never known.

    It ends `now`, or when its last message is sent. Raises TooLongError.
    """
    past = past_of(papers, now)
    if past.given is None and not past.steps:
        return None
    test = _scenario(papers, past, rule, stage)
    return replace(test, steps=await _Recorder(test, stage, now, past.until).steps())


def _scenario(papers: TaskHistory, past: Past, rule: Rule, stage: RuleTestStage) -> RuleTest:
    """The test with the steps of the past, before anything is expected."""
    account, name = papers.key
    wanted = fields_of(rule)
    given = {} if past.given is None else {name: difference(None, past.given, wanted)}
    task = past.given or next((one.task for one in past.steps if one.task is not None), None)
    title = " ".join((task.title if task else "").split())[:_LONGEST_NAME]
    return RuleTest(
        name=f"{rule.id}: {title} ({name})" if title else f"{rule.id}: {name}",
        place="",
        start=past.start.astimezone(stage.zone),
        account=account,
        rules=frozenset({rule.id}),
        given=given,
        steps=list(_steps(name, past, wanted)),
    )


def _steps(name: str, past: Past, wanted: frozenset[str]) -> Iterator[RuleTestStep]:
    known: Task | None = past.given
    for one in past.steps:
        changes = _changes(name, known, one, wanted)
        if changes or one.signal is not None:
            signals = {} if one.signal is None else {name: one.signal}
            yield RuleTestStep("", one.at, changes, signals, None)
        known = one.task


def _changes(
    name: str, known: Task | None, step: PastStep, wanted: frozenset[str]
) -> dict[str, Values | None]:
    if step.task is None:
        return {} if known is None else {name: None}
    values = difference(known, step.task, wanted)
    return {name: values} if values or known is None else {}


class _Recorder:
    """Runs a scenario, and notes what comes of it as what is expected."""

    def __init__(
        self, test: RuleTest, stage: RuleTestStage, now: datetime, until: datetime
    ) -> None:
        self._test = test
        self._now = now
        self._until = until
        self._zone = stage.zone
        self._running = RuleTestRun(test, stage)
        self._found: list[RuleTestStep] = []
        self._moments = 0
        self._reached = test.start

    async def steps(self) -> Sequence[RuleTestStep]:
        await self._running.begin()
        for step in self._test.steps:
            await self._go_on(step.at)
            await self._take(step)
        await self._go_on(self._until, only_until_done=True)
        if not self._found:
            await self._take(_at(full_second(min(self._now, self._until))))
        return self._found

    async def _go_on(self, until: datetime, *, only_until_done: bool = False) -> None:
        """Stop wherever something is due before then; after now only for messages that wait."""
        while (moment := self._running.next_moment) is not None and moment < until:
            if only_until_done and moment > self._now and not self._running.is_pending:
                return
            self._moments += 1
            if self._moments > _MOST_MOMENTS:
                raise TooLongError
            # An alarm of a date that is set late is due at once.
            at = max(full_second(moment), self._reached)
            if at >= until and not only_until_done:
                return
            await self._take(_at(at), only_if_something=True)

    async def _take(self, step: RuleTestStep, *, only_if_something: bool = False) -> None:
        came, _ = await self._running.take(step)
        self._reached = step.at
        if only_if_something and not came:
            return
        if len(self._found) >= _MOST_STEPS:
            raise TooLongError
        expected = [_expected(one) for one in came]
        self._found.append(replace(step, at=step.at.astimezone(self._zone), expected=expected))


def _at(moment: datetime) -> RuleTestStep:
    return RuleTestStep("", moment, {}, {}, None)


def _expected(one: Actual) -> Expected:
    """What the test demands: the receiver, the subject, and the first line of the text."""
    if one.verb in WRITES:
        return Expected(one.verb, fields=one.fields or None)
    first = next((line.strip() for line in one.text.splitlines() if line.strip()), "")
    contains = (first[:_LONGEST_TEXT].strip(),) if first else ()
    return Expected(one.verb, one.what, contains, one.subject)
