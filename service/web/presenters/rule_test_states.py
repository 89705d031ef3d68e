"""The tests that a configuration has for a rule, and whether they pass."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.config import Config
from service.config.rule_tests import RuleTest
from service.simulator.rule_tests.runner import RuleTestStage, run

_MOST = 50  # tests that are run for one rule


@dataclass(frozen=True, slots=True)
class RuleTestState:
    """A test, where it stands, and whether it passes."""

    name: str
    place: str
    passes: bool


class RuleTestStates:
    """Runs the tests of a rule when somebody first looks at it; the rules do not change meanwhile.

    They run in a thread, for one rule at a time.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[str, Sequence[RuleTestState]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def of(self, rule: str) -> Sequence[RuleTestState]:
        """The states of the first tests that are about this rule."""
        async with self._one_at_a_time:
            if rule not in self._known:
                tests = [one for one in self._config.trials if rule in one.rules][:_MOST]
                self._known[rule] = await asyncio.to_thread(self._run, tests) if tests else ()
        return self._known[rule]

    def _run(self, tests: Sequence[RuleTest]) -> Sequence[RuleTestState]:
        return asyncio.run(self._results(tests))

    async def _results(self, tests: Sequence[RuleTest]) -> Sequence[RuleTestState]:
        stage = RuleTestStage.of(self._config.of_rules)
        return [
            RuleTestState(one.name, one.place, passes=not (await run(one, stage)).failures)
            for one in tests
        ]
