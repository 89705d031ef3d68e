"""Reading rule tests: what they can say, and what becomes of nonsense (see tests/faulty)."""

from dataclasses import fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import check, sketch
from service.errors import ConfigError
from service.model import Task
from service.rules import Ruleset
from service.trials.report import junit
from service.trials.running import Stage, run
from service.trials.shapes import DELETED, TrialReader
from service.trials.tasks import TaskShape
from tests.rule_files import ENVIRON, HEAD

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
    """Whatever rules can read can be written in a test; whose task it is, the test says once."""
    assert set(TaskShape.model_fields) == {one.name for one in fields(Task)} - {
        "id",
        "account",
        "system",
    }


def test_what_is_called_wrongly_is_said_once(tmp_path: Path) -> None:
    """Where `rules:` or `accounts:` is misspelt, tests that name one of them are not to blame."""
    text = TEXT.replace("\nrules:", "\nrulez:").replace("\naccounts:", "\nacounts:")
    file = tmp_path / "t.yaml"
    file.write_text(text.replace("${API_TOKEN}", "t0ken"), encoding="utf-8")
    assert [fault.message for fault in check(file, ENVIRON)] == [
        "there is no acounts here",
        "there is no rulez here",
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
likely = st.fixed_dictionaries(
    {"name": st.just("x"), "start": st.just("2026-03-06 16:30"), "steps": st.lists(nonsense)},
    optional={"rules": nonsense, "account": nonsense, "given": nonsense},
)
nearly_steps = st.fixed_dictionaries(
    {"at": st.just("2026-03-07")},
    optional={"change": nonsense, "signal": nonsense, "expect": st.lists(nonsense, max_size=2)},
)
nearly = st.fixed_dictionaries(
    {
        "name": st.just("x"),
        "start": st.just("2026-03-06"),
        "steps": st.lists(nearly_steps, min_size=1, max_size=2),
    },
    optional={"given": st.lists(st.dictionaries(st.sampled_from(KEYS), nonsense, max_size=4))},
)

STAGE = Stage(
    rules=Ruleset.empty(),
    zone=ZoneInfo("America/New_York"),
    zones={"field": ZoneInfo("America/New_York")},
    systems={"field": "kickserv"},
    ways={},
)


@given(st.lists(nonsense | likely | nearly, max_size=2))
async def test_nonsense_is_a_fault_and_never_a_trace(raws: list[Any]) -> None:
    """Whatever stands under `tests:` is refused, each problem with its place, or it runs."""
    reader = TrialReader(["nudge"], ["nudge"], ["field"], STAGE.zone, str)
    trials = reader.read(raws)
    for problem in reader.problems:
        assert problem.path[0] == "tests"
        assert problem.message
    if not reader.problems:
        assert len(trials) == len(raws)
        outcomes = [await run(one, STAGE) for one in trials]
        assert junit(outcomes)


def test_what_is_written_before_the_tests_counts_as_well(tmp_path: Path) -> None:
    """A faulty rule keeps the tests from running; a secret that is not at hand does not."""
    file = tmp_path / "t.yaml"
    file.write_text(TEXT, encoding="utf-8")
    assert [trial.name for trial in sketch(file).trials] == ["Nudge"]
    file.write_text(TEXT.replace("task.overdue", "task.overdeu"))
    with pytest.raises(ConfigError, match=r"t\.yaml:13:22: there is no event task\.overdeu"):
        sketch(file)
