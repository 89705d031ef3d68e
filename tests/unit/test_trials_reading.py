"""Reading rule tests: what they can say, and what becomes of nonsense (see tests/faulty)."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import check, sketch
from service.config.rule_tests.reader import DELETED, RuleTestReader
from service.config.rule_tests.tasks import TaskShape
from service.domain.model import DAYS, Task
from service.errors import ConfigError
from service.simulator.rule_tests.report import junit
from service.simulator.rule_tests.runner import RuleTestStage, run
from tests.harness.rule_files import ENVIRON, HEAD
from tests.unit.test_trials import RULES

TEXT = f"""\
{HEAD}rules:
- {{ id: nudge, when: task.overdue, then: [{{ notify: "slack:#o", text: hi }}] }}
tests:
- name: Nudge
  rules: [nudge]
  account: field
  start: 2026-03-06
  steps: [{{ at: 2026-03-07 }}]
"""


def test_a_test_can_tell_every_field_of_a_task() -> None:
    """Whatever rules can read can be written in a test; its system is that of its account."""
    assert set(TaskShape.model_fields) == {one.name for one in fields(Task)} - {
        "id",
        "system",
        "revision",
        *DAYS.values(),
    }


def test_what_is_called_wrongly_is_said_once(tmp_path: Path) -> None:
    """Where `rules:` or `accounts:` is misspelt, tests that name one of them are not to blame."""
    text = TEXT.replace("\nrules:", "\nrulez:").replace("\naccounts:", "\nacounts:")
    file = tmp_path / "t.yaml"
    file.write_text(text.replace("${API_TOKEN}", "t0ken"), encoding="utf-8")
    assert [fault.message for fault in check(file, ENVIRON)] == [
        "unknown key: acounts",
        "unknown key: rulez",
    ]


WORDS = ["T1", "nudge", "field", "slack:#o", DELETED, "2026-03-06 16:30", "2026-13-40", "", "high"]
KEYS = [
    *("name", "start", "rules", "account", "given", "steps", "at", "change", "signal", "expect"),
    *("notify", "held", "create_task", "complete_task", "contains", "subject", "id", "title"),
    *("done", "due", "assignee", "assignees", "customer", "opted_out", "fields", "tags", "T1"),
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.datetimes().map(str)
    | st.text(max_size=5)
)
nonsense = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def mostly(fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What fits, and nonsense now and then."""
    return st.integers(0, 15).flatmap(lambda number: fitting if number else nonsense)


def some(**fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {}, optional={name: mostly(value) for name, value in fitting.items()}
    )


days = st.integers(1, 28).map(lambda day: f"2026-03-{day:02} 09:30")
texts = st.text(max_size=5)
people = st.none() | some(id=texts, name=texts, email=texts)
written = {
    "title": texts,
    "done": st.booleans(),
    "due": st.none() | days,
    "start": days,
    "created_at": days,
    "assignee": people,
    "customer": some(name=texts, opted_out=st.booleans()),
    "type": st.just("job"),
    "tags": st.lists(texts, max_size=2),
    "fields": st.dictionaries(texts, scalars, max_size=2),
}
ids = st.sampled_from(["T1", "T2"])
steps = some(
    change=st.dictionaries(ids, mostly(some(**written) | st.just(DELETED)), max_size=2),
    signal=st.dictionaries(ids, texts, max_size=1),
    expect=st.lists(
        some(notify=st.just("slack:#office"), contains=texts) | some(create_task=some(title=texts)),
        max_size=2,
    ),
)


@st.composite
def told(draw: st.DrawFn) -> dict[str, Any]:
    """A test that has most of what it needs, its days in order."""
    moments = sorted(draw(st.lists(days, min_size=1, max_size=4)))
    return {
        "name": "It",
        "start": "2026-03-01",
        "given": [{"id": "T1", **draw(some(**written))}],
        "steps": [{"at": at, **draw(steps)} for at in moments],
    }


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> RuleTestStage:
    file = tmp_path_factory.mktemp("stage") / "taskbell.yaml"
    file.write_text(f"{HEAD}{RULES}", encoding="utf-8")
    return RuleTestStage.of(sketch(file, {}))


@given(st.lists(nonsense | told(), max_size=2))
async def test_nonsense_is_a_fault_and_never_a_trace(stage: RuleTestStage, raws: list[Any]) -> None:
    """Whatever stands under `tests:` is refused, each problem with its place, or it runs."""
    reader = RuleTestReader(["nudge"], stage.rules.ids, ["field"], ["slack"], stage.zone, {}, str)
    trials = reader.read(raws)
    for problem in reader.problems:
        assert problem.path[0] == "tests"
        assert problem.message
    if not reader.problems:
        assert len(trials) == len(raws)
        results = [await run(one, stage) for one in trials]
        assert junit(results)


def test_what_is_written_before_the_tests_counts_as_well(tmp_path: Path) -> None:
    """A faulty rule keeps the tests from running; a secret that is not at hand does not."""
    file = tmp_path / "t.yaml"
    file.write_text(TEXT, encoding="utf-8")
    assert [trial.name for trial in sketch(file, {}).trials] == ["Nudge"]
    file.write_text(TEXT.replace("task.overdue", "task.overdeu"))
    with pytest.raises(ConfigError, match=r"t\.yaml:13:22: there is no event task\.overdeu"):
        sketch(file, {})
