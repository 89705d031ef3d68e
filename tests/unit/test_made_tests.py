"""A test that is made of a task's past says of every recipe what the recipe's own tests say."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.config import RulesConfig, sketch, sketch_tests
from service.config.rule_tests import Expected, RuleTest
from service.config.rule_tests.writer import written
from service.domain.system_actions import WRITES
from service.simulator import Simulator
from service.simulator.rule_tests.actual import Actual
from service.simulator.rule_tests.past import LONGEST
from service.simulator.rule_tests.recorder import record
from service.simulator.rule_tests.report import lines
from service.simulator.rule_tests.runner import RuleTestRun, RuleTestStage, run
from service.store.history import RecordedEvent
from service.store.tasks import TaskState
from service.store.views.task_history import TaskHistory

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
HEAD, *RECIPES = re.findall(
    r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
)
FILES = dict(
    re.findall(r"^```csv (\S+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
)
NAMES = [re.findall(r"^  - id: (\S+)", recipe, re.MULTILINE) for recipe in RECIPES]


async def _ran(trial: RuleTest, stage: RuleTestStage) -> tuple[list[Actual], Simulator]:
    """What came of a recipe's test, and the simulation after it."""
    running = RuleTestRun(trial, stage)
    await running.begin()
    came = [one for step in trial.steps for one in (await running.take(step))[0]]
    return came, running._simulator


def _pasts(trial: RuleTest, simulator: Simulator) -> Iterator[TaskHistory]:
    """What is on record of each task."""
    tx = simulator.tx
    for name in {*trial.given, *(one for step in trial.steps for one in step.changes)}:
        key = trial.account, name
        events = [one for one in tx.events.recorded if one.task_id == name]
        recorded = [RecordedEvent(one, one.at, "") for one in events]
        state = TaskState(tx.tasks.current(key), observed_at=trial.start)
        yield TaskHistory(key, state, trial.start, recorded)


async def _made(config: RulesConfig, trial: RuleTest, papers: TaskHistory) -> RuleTest | None:
    """The test that is made of it."""
    stage = RuleTestStage.of(config)
    [name] = trial.rules
    rule = stage.rules.get(name)
    assert rule is not None
    return await record(papers, rule, stage, trial.steps[-1].at)


def _loud(expected: Iterable[Expected]) -> Counter[tuple[str, str]]:
    """The messages and writes that go out."""
    return Counter((one.verb, one.what) for one in expected if one.verb in {"notify", *WRITES})


def _sent(came: Iterable[Actual]) -> Counter[tuple[str, str]]:
    return Counter((one.verb, one.what) for one in came if one.verb in {"notify", *WRITES})


@pytest.mark.parametrize("recipe", RECIPES, ids=map("-".join, NAMES))
async def test_recipe(recipe: str, tmp_path: Path) -> None:
    """The made test is read again and passes. Of one task and one month, no message is missing."""
    file, made_file = tmp_path / "taskbell.yaml", tmp_path / "made.yaml"
    file.write_text(HEAD + recipe, encoding="utf-8")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = sketch(file, {})
    stage = RuleTestStage.of(found)
    alone = [replace(one, rules=frozenset({rule})) for one in found.trials for rule in one.rules]
    for trial in alone:
        came, simulator = await _ran(trial, stage)
        pasts = list(_pasts(trial, simulator))
        for papers in pasts:
            made = await _made(found, trial, papers)
            if made is None:
                continue
            text = written(made, found.timezone, found.zones[trial.account])
            made_file.write_text(text, encoding="utf-8")
            [again] = sketch_tests(made_file, file, {}).trials
            result = await run(again, stage)
            assert not result.failures, "\n".join([text, *lines(result)])
            made_file.unlink()
            is_whole = trial.steps[-1].at - trial.start < LONGEST
            if len(pasts) == 1 and is_whole and not any(step.fails for step in trial.steps):
                wanted = _loud(one for step in made.steps for one in step.expected or ())
                assert _sent(came) <= wanted, text
