"""Faulty rule tests and the exact words their writer gets."""

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

RULE = '- { id: nudge, when: task.overdue, then: [{ notify: "slack:#o", text: hi }] }\n'
MOMENT = "write it like 2026-03-06 16:30"


def trial(*lines: str) -> str:
    """A test that only lacks these lines; the first is the file's 16th."""
    head = f"{HEAD}rules:\n{RULE}tests:\n- name: Nudge\n"
    return head + "".join(f"  {line}\n" for line in lines)


def given_task(words: str) -> str:
    return trial(
        "start: 2026-03-06 16:30", f"given: [{{ {words} }}]", "steps: [{ at: 2026-03-07 }]"
    )


def step(words: str) -> str:
    return trial("start: 2026-03-06 16:30", "given: [{ id: T1 }]", f"steps: [{{ {words} }}]")


def expect(words: str) -> str:
    return step(f"at: 2026-03-07 09:00, expect: [{words}]")


STEPS = "steps: [{ at: 2026-03-07 }]"

FAULTS = {
    # a test
    f"{HEAD}tests: 3\n": "12:8: tests is a list; 3 is a number",
    f"{HEAD}tests: [3]\n": "12:9: tests holds names and values; 3 is a number",
    f"{HEAD}test: []\n": "12:1: there is no test here | did you mean tests?",
    trial(STEPS): "15:3: start is missing",
    trial("start: soon", STEPS): f'16:10: this is no date and time; "soon" is text | {MOMENT}',
    trial("start: 0001-01-01", STEPS): (
        f"16:10: the calendar of tests goes from 1970 to 2199 | {MOMENT}"
    ),
    trial("start: 2026-03-06"): "15:3: steps is missing",
    trial("start: 2026-03-06", "steps: []"): "17:10: steps is empty",
    trial("start: 2026-03-06", STEPS, "rule: [nudge]"): (
        "18:3: there is no rule here | did you mean rules?"
    ),
    trial("start: 2026-03-06", STEPS, "rules: nudge"): '18:10: rules is a list; "nudge" is text',
    trial("start: 2026-03-06", STEPS, "rules: []"): "18:10: rules is empty",
    trial("start: 2026-03-06", STEPS, "rules: [nugde]"): (
        "18:11: there is no rule nugde | did you mean nudge?"
    ),
    trial("start: 2026-03-06", STEPS, "account: feild"): (
        "18:12: there is no account feild | did you mean field?"
    ),
    "version: 1\ntests:\n- { name: x, start: 2026-03-06, steps: [{ at: 2026-03-07 }] }\n": (
        "3:3: there is no account that the tasks could be of | write accounts:"
    ),
    # a task that is given
    given_task("title: Gutters"): "17:11: id is missing",
    given_task("id: [T1]"): "17:17: id is text; this is a list",
    given_task("id: T1, titel: Gutters"): "17:21: there is no titel here | did you mean title?",
    given_task("id: T1, title: 3"): "17:28: title is text; 3 is a number",
    given_task("id: T1, title:"): "17:27: title is text; nothing is given",
    given_task("id: T1, account: london"): "17:21: there is no account here",
    given_task("id: T1, done: 1"): "17:27: done is true or false; 1 is a number",
    given_task("id: T1, priority: urgent"): (
        '17:31: priority is low, normal, high or highest; "urgent" is text'
    ),
    given_task("id: T1, due: Friday"): (
        f'17:26: this is no date and time; "Friday" is text | {MOMENT}'
    ),
    given_task(
        "id: T1, assignee: Bo"
    ): '17:31: assignee is a group of names and values; "Bo" is text',
    given_task("id: T1, assignee: { mail: b@x.test }"): (
        "17:33: there is no mail here | did you mean email?"
    ),
    given_task("id: T1, assignees: { name: Bo }"): (
        "17:32: assignees is a list; this is a group of names and values"
    ),
    given_task("id: T1, customer: { opted_out: maybe }"): (
        '17:44: opted_out is true or false; "maybe" is text'
    ),
    given_task("id: T1, tags: urgent"): '17:27: tags is a list; "urgent" is text',
    given_task("id: T1, fields: { region: [north] }"): (
        "17:39: a custom field holds text, a number, true or false; this is a list"
    ),
    trial("start: 2026-03-06", "given: [{ id: T1 }, { id: T1 }]", STEPS): (
        "17:29: there are two tasks T1"
    ),
    # a step
    step("change: {}"): "18:11: at is missing",
    step("at: 2026-03-06 16:00"): (
        "18:17: this is before 2026-03-06 16:30, to which the test has come by then"
    ),
    step("at: 2026-03-06T16:30+02:00"): (
        "18:17: this is before 2026-03-06 16:30, to which the test has come by then"
    ),
    step("at: 2026-03-08 }, { at: 2026-03-07"): (
        "18:37: this is before 2026-03-08 00:00, to which the test has come by then"
    ),
    step("at: 2026-03-07, changes: { T1: { done: true } }"): (
        "18:29: there is no changes here | did you mean change?"
    ),
    step("at: 2026-03-07, change: [T1]"): (
        "18:37: change is a group of names and values; this is a list"
    ),
    step("at: 2026-03-07, change: { T1: }"): (
        "18:42: write what changes, such as { done: true }, or deleted"
    ),
    step("at: 2026-03-07, change: { T1: { dun: true } }"): (
        "18:45: there is no dun here | did you mean due?"
    ),
    step("at: 2026-03-07, change: { T1: { id: T2 } }"): "18:45: there is no id here",
    step("at: 2026-03-07, change: { T2: deleted }"): (
        "18:39: there is no task T2 | known here: T1"
    ),
    step("at: 2026-03-07, signal: { T2: leaving }"): (
        "18:39: there is no task T2 | known here: T1"
    ),
    step("at: 2026-03-07, signal: { T1: [leaving] }"): "18:43: T1 is text; this is a list",
    # what is expected
    step("at: 2026-03-07, expect: { notify: slack:#o }"): (
        "18:37: expect is a list; this is a group of names and values"
    ),
    expect("slack:#o"): (
        '18:44: what is expected is something such as notify: slack:#office; "slack:#o" is text'
    ),
    expect("{}"): (
        "18:44: what is expected is something such as notify: slack:#office; "
        "this is a group of names and values"
    ),
    expect("{ contains: hi }"): (
        "18:46: contains is nothing that can be expected | known here: cancelled, complete_task, "
        "create_task, expired, held, notify, skipped, update_task, updated"
    ),
    expect("{ notfy: slack:#o }"): (
        "18:46: notfy is nothing that can be expected | did you mean notify?"
    ),
    expect("{ notify: slack:#o, held: slack:#o }"): (
        "18:44: notify and held are two things | begin each with a dash"
    ),
    expect("{ notify: slack:#o, contain: hi }"): (
        "18:64: there is no contain here | did you mean contains?"
    ),
    expect("{ notify: slack:#o, contains: 3 }"): "18:74: contains is a list; 3 is a number",
    expect("{ notify: [slack:#o] }"): (
        "18:54: notify is an address such as slack:#office; this is a list"
    ),
    expect("{ notify: }"): "18:53: notify is an address such as slack:#office; nothing is given",
    expect("{ complete_task: { title: x } }"): (
        "18:61: complete_task is true; this is a group of names and values"
    ),
    expect("{ create_task: x }"): (
        '18:59: create_task is true or the fields that are written; "x" is text'
    ),
    expect("{ create_task: { titel: x } }"): (
        "18:61: there is no titel here | did you mean title?"
    ),
    expect("{ create_task: { due: soon } }"): (
        f'18:66: this is no date and time; "soon" is text | {MOMENT}'
    ),
    expect("{ create_task: true, contains: x }"): "18:65: create_task does not go with contains",
}


@pytest.mark.parametrize(("text", "expected"), FAULTS.items(), ids=FAULTS.values())
def test_fault_in_words(text: str, expected: str, tmp_path: Path) -> None:
    """Each faulty rule test gets one fault: its place, what is wrong in plain words, what to do."""
    file = tmp_path / "t.yaml"
    file.write_text(text, encoding="utf-8")
    said = [
        f"{one.line}:{one.column}: {one.message}" + (f" | {one.hint}" if one.hint else "")
        for one in check(file, ENVIRON)
    ]
    assert said == [expected]


def test_a_test_can_tell_every_field_of_a_task() -> None:
    """Whatever rules can read can be written in a test; whose task it is, the test says once."""
    assert set(TaskShape.model_fields) == {one.name for one in fields(Task)} - {
        "id",
        "account",
        "system",
    }


def test_what_is_called_wrongly_is_said_once(tmp_path: Path) -> None:
    """Where `rules:` or `accounts:` is misspelt, tests that name one of them are not to blame."""
    text = given_task("id: T1") + "  rules: [nudge]\n  account: field\n"
    file = tmp_path / "t.yaml"
    text = text.replace("\nrules:", "\nrulez:").replace("\naccounts:", "\nacounts:")
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
    file.write_text(given_task("id: T1"), encoding="utf-8")
    assert [trial.name for trial in sketch(file).trials] == ["Nudge"]
    file.write_text(given_task("id: T1").replace("task.overdue", "task.overdeu"))
    with pytest.raises(ConfigError, match=r"t\.yaml:13:22: there is no event task\.overdeu"):
        sketch(file)
