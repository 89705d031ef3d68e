"""The tests that a configuration has for a rule, and whether they pass."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.config import Config
from service.config.rule_tests import RuleTest
from service.simulator.rule_tests.runner import RuleTestStage, run
from service.web.presenters.giving_way import giving_way

_MOST = 50  # tests that are run for one rule
_PATIENCE = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class RuleTestState:
    """A test, where it stands, and whether it passes."""

    name: str
    place: str
    passes: bool


class RuleTestStates:
    """Runs the tests of a rule when its page is first opened; the rules do not change meanwhile.

    They run in a thread; the page waits for two seconds at most.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[str, Sequence[RuleTestState]] = {}
        self._running: dict[str, asyncio.Task[Sequence[RuleTestState]]] = {}

    async def of(self, rule: str) -> Sequence[RuleTestState] | None:
        """The states of the first tests that are about this rule; None while they are run."""
        if rule not in self._known:
            tests = [one for one in self._config.trials if rule in one.rules][:_MOST]
            if not tests:
                return ()
            await self._wait_for(rule, tests)
        return self._known.get(rule)

    async def _wait_for(self, rule: str, tests: Sequence[RuleTest]) -> None:
        running = self._running.get(rule)
        if running is None:
            running = asyncio.create_task(asyncio.to_thread(self._run, tests))
            self._running[rule] = running
        await asyncio.wait({running}, timeout=_PATIENCE)
        if running.done():
            self._running.pop(rule, None)
            self._known[rule] = running.result()

    def _run(self, tests: Sequence[RuleTest]) -> Sequence[RuleTestState]:
        with giving_way():
            return asyncio.run(self._results(tests))

    async def _results(self, tests: Sequence[RuleTest]) -> Sequence[RuleTestState]:
        stage = RuleTestStage.of(self._config.of_rules)
        return [
            RuleTestState(one.name, one.place, passes=not (await run(one, stage)).failures)
            for one in tests
        ]
