"""An explanation agrees with what rules decided, for any rules and any history."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.channels import ways
from service.config import Config
from service.domain.model import Cause, Observation, Task
from service.explain import Explanation, ExplanationStatus
from service.explain.explainer import explain
from service.explain.rule_versions import RuleVersions
from service.rules.language.trace import TraceStatus
from service.rules.verdict import Outcome
from service.simulator import Simulator
from service.store.decisions import RecordedDecision
from service.store.history import RecordedEvent
from service.store.views.task_history import TaskHistory
from tests.harness.rule_files import configured
from tests.harness.rule_strategies import rules, write_templates
from tests.harness.tasks import START, tasks

ACCOUNT = "field"


@dataclass(frozen=True, slots=True)
class Step:
    """Time goes by, and the task looks different or is gone."""

    pause: timedelta
    task: Task | None


looks = st.builds(
    replace,
    tasks.map(lambda one: replace(one, description=None, tags=(), fields={})),
    title=st.sampled_from(["", "a", "end"]),
)
pauses = st.sampled_from([0, 1, 10, 25, 60, 200, 1500]).map(lambda few: timedelta(minutes=few))
steps = st.builds(Step, pauses, st.none() | looks)


async def lived(config: Config, history: Sequence[Step]) -> tuple[TaskHistory, Simulator]:
    """The papers of a task after this history, and three days later."""
    trial = Simulator(config.rules, {ACCOUNT: config.timezone}, ways(config.kinds), START)
    for step in history:
        await trial.go_on(trial.clock.now() + step.pause)
        now = trial.clock.now()
        task = step.task and replace(step.task, id="T1", account=ACCOUNT, updated_at=None)
        await trial.observe([Observation(ACCOUNT, "T1", task, now, Cause.POLL)])
    await trial.go_on(trial.clock.now() + timedelta(days=3))
    key = (ACCOUNT, "T1")
    known = (await trial.tx.tasks.lock([key]))[key]
    version = config.rules.version
    # An alarm whose moment was past when its date came is dated before what brought the date.
    decided_at = accumulate((one.at for one in trial.tx.events.recorded), max)
    recorded = [
        RecordedEvent(one, at, version)
        for one, at in zip(trial.tx.events.recorded, decided_at, strict=True)
        if one.task_id == key[1]
    ]
    numbers = {one.event.id for one in recorded}
    own = [one for one in trial.tx.decisions.recorded if one.event in numbers]
    return TaskHistory(key, known, START, recorded, own), trial


def last_decisions(papers: TaskHistory) -> dict[str, RecordedDecision]:
    """What each rule said last of the task itself, and not of a digest that it had opened."""
    found: dict[str, RecordedDecision] = {}
    joined: set[tuple[str, int]] = set()
    for one in papers.decisions:
        if (one.rule, one.event) not in joined:
            found[one.rule] = one
        if one.outcome == Outcome.GATHERED:
            joined.add((one.rule, one.event))
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=rules, history=st.lists(steps, min_size=1, max_size=8))
async def test_what_is_on_record_is_what_comes_out_again(
    tmp_path: Path, written: list[dict[str, Any]], history: list[Step]
) -> None:
    """Nothing that fired is said not to have; nothing that did not is said to match."""
    write_templates(tmp_path)
    config = configured(tmp_path, f" {orjson.dumps(written).decode()}")
    papers, trial = await lived(config, history)
    book = RuleVersions(config.rules, {config.rules.version: config.rules})
    for one in explain(book, papers, config.timezone, trial.clock.now(), START):
        if one.decision is None:
            assert one.standing in {ExplanationStatus.UNHEARD, ExplanationStatus.NOT_MATCHED}
        hold(one)
        newest = last_decisions(papers).get(one.rule)
        if one.decision is not None:
            assert newest == one.decision


def hold(one: Explanation) -> None:
    """The values shown are a reason for what is said; what came of waiting has one of its own."""
    if one.decision is not None and one.decision.outcome == Outcome.LAPSED:
        assert one.says.startswith("the wait ended early: ")
        return
    if "quiet period" in one.says:
        assert one.standing is ExplanationStatus.NOT_MATCHED
        return
    known = [trace.value for trace in one.conditions if trace.finding is TraceStatus.KNOWN]
    if one.standing is ExplanationStatus.FIRED:
        assert all(value is True for value in known)
        assert len(known) == len(one.conditions)
    elif one.standing is ExplanationStatus.NOT_MATCHED and one.conditions:
        # One that is not true decides, also behind one that fails.
        *_, last = (each for each in one.conditions if each.finding is not TraceStatus.NOT_NEEDED)
        assert last.value is False
        assert one.says == f"{last.text} is not true"
