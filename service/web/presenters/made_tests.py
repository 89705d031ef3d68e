"""Rule tests that are made of what happened to a task."""

import asyncio

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from service.clock import Clock
from service.config import Config
from service.config.rule_tests.reader import RuleTestReader
from service.config.rule_tests.writer import written
from service.domain.days import Calendar
from service.simulator.rule_tests.recorder import TooLongError, record
from service.simulator.rule_tests.runner import RuleTestStage, run
from service.store.views.task_history import TaskHistory
from service.web.presenters.giving_way import giving_way

_UNKNOWN = "Taskbell does not know enough about this task for a test."
_TOO_LONG = "The rule does too much about this task for a test that people can read."
_UNREADABLE = "The texts of this task cannot be written in a test."


class NotMadeError(Exception):
    """No test can be made; the message says why."""


class MadeTests:
    """Makes tests in a thread, one at a time."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._stage = RuleTestStage.of(config.of_rules)
        self._one_at_a_time = asyncio.Lock()

    async def of(self, papers: TaskHistory, rule: str) -> str:
        """A test of the rule on this history, as YAML, which passes. Raises NotMadeError."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._made, papers, rule)

    def _made(self, papers: TaskHistory, rule: str) -> str:
        with giving_way():
            return asyncio.run(self._text(papers, rule))

    async def _text(self, papers: TaskHistory, rule: str) -> str:
        found = self._stage.rules.get(rule)
        if found is None or papers.key[0] not in self._config.zones:
            raise NotMadeError(_UNKNOWN)
        try:
            test = await record(papers, found, self._stage, self._clock.now())
        except TooLongError:
            raise NotMadeError(_TOO_LONG) from None
        if test is None:
            raise NotMadeError(_UNKNOWN)
        zones = self._config.zones
        text = written(test, self._config.timezone, zones[papers.key[0]])
        if not await self._passes(text):
            raise NotMadeError(_UNREADABLE)
        return text

    async def _passes(self, text: str) -> bool:
        """Whether the text is read as it was meant."""
        config = self._config
        names = [*config.rules.ids, *(one.id for one in config.off)]
        reader = RuleTestReader(
            rules=names,
            switched_on=names,
            accounts=tuple(config.accounts),
            channels=tuple(config.channels),
            zone=config.timezone,
            calendars={
                name: Calendar(config.zones[name], one.due_by)
                for name, one in config.accounts.items()
            },
            place=lambda _: "test.yaml:1",
        )
        try:
            tests = reader.read(YAML(typ="safe").load(text)["tests"])
        except YAMLError:
            return False
        results = [await run(one, self._stage) for one in tests]
        return not reader.problems and not any(one.failures for one in results)
