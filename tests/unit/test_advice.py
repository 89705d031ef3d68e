"""What is no contradiction, and who are no twins: a warning that is wrong is worse than none."""

from pathlib import Path

import pytest

from service.config import load
from tests.harness.rule_files import ENVIRON, HEAD, configured

NOTIFY = '  then: [{ notify: "slack:#o", text: hi }]\n'
FINE = [
    'task.type == "job" || task.type == "invoice"',
    'task.type != "job" && task.type != "invoice"',
    'task.type == "job" && before.type == "invoice"',
    'task.type == "job" && !(task.type == "invoice")',
    'task.type == "job" && (task.done || task.type == "invoice")',
    '!(task.type == "job" && task.type == "invoice")',
    "has(task.assignee) && !has(before.assignee)",
    'task.priority in ["high", "highest"]',
    'task.priority != "low"',
    'has(task.due) && task.due > now && (task.due < now || task.type == "job")',
]


@pytest.mark.parametrize("condition", FINE)
def test_what_may_hold_is_not_warned_of(condition: str, tmp_path: Path) -> None:
    """Alternatives, exclusions, and what is said of the task before."""
    rule = f"- id: r\n  when: task.changed\n  accounts: [london]\n  if: '{condition}'\n{NOTIFY}"
    assert configured(tmp_path, rule).warnings == ()


@pytest.mark.parametrize(
    ("length", "is_warned"), [(1600, False), (1601, True)], ids=["fits", "does not"]
)
@pytest.mark.parametrize("in_file", [False, True], ids=["in the rule", "in a file"])
def test_a_text_that_never_fits_is_warned_of(
    tmp_path: Path, *, length: int, is_warned: bool, in_file: bool
) -> None:
    """Before its middle is left out of a message; what is filled in has no length yet."""
    text = "{% if task.done %}" + "x" * length + "{% endif %}{{ task.title }}"
    (tmp_path / "long.liquid").write_text(text)
    words = "template: long.liquid" if in_file else f'text: "{text}"'
    sms = 'sms: { kind: twilio, account_sid: AC1, token: "${API_TOKEN}", from: ACME }'
    file = tmp_path / "taskbell.yaml"
    head = HEAD.replace("channels:\n", f"channels:\n  {sms}\n")
    rule = f'- id: r\n  when: task.changed\n  then: [{{ notify: "sms:+14155550100", {words} }}]\n'
    file.write_text(f"{head}rules:\n{rule}")
    said = [one.message for one in load(file, ENVIRON).warnings]
    assert said == ["sms takes texts of up to 1600 characters"] * is_warned


DIFFERENT = [
    ('if: task.type == "job"', 'if: task.type != "job"'),
    ("if: task.done", "if: '!task.done'"),
    ("accounts: [field]", "accounts: [london]"),
    ("enabled: false", "settle: 2m"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_rules_for_different_tasks_are_no_twins(one: str, other: str, tmp_path: Path) -> None:
    """They may say the same, as they never say it of the same task."""
    rules = "".join(
        f"- id: r{number}\n  when: task.changed\n  {words}\n{NOTIFY}"
        for number, words in enumerate((one, other))
    )
    assert configured(tmp_path, rules).warnings == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("slack:#o, text: hi", "slack:#p, text: hi"),
        ("slack:#o, text: hi", "slack:#o, text: ho"),
        ("accounting", "slack:#o, text: hi"),
    ],
)
def test_different_messages_are_no_twins(one: str, other: str, tmp_path: Path) -> None:
    """Another target, another text, another channel."""
    rules = "".join(
        f"- id: r{number}\n  when: task.changed\n  then: [{{ notify: {words} }}]\n"
        for number, words in enumerate((one, other))
    )
    assert configured(tmp_path, rules).warnings == ()


def test_different_moments_are_no_twins(tmp_path: Path) -> None:
    """The same reminder an hour before and a day before, and once more after a wait."""
    rules = "".join(
        f"- id: r{hours}\n  when: {{ task.due_soon: {hours}h }}\n{NOTIFY}" for hours in (1, 24)
    )
    again = (
        "- id: again\n  when: task.overdue\n"
        '  then: [{ notify: "slack:#o", text: hi }, { wait: 1h },'
        ' { notify: "slack:#o", text: hi }]\n'
    )
    assert configured(tmp_path, rules + again).warnings == ()


def test_the_first_of_several_twins_is_named(tmp_path: Path) -> None:
    """Whatever their conditions demand, and in whatever order they ask."""
    conditions = {
        'task.type == "a"': None,
        'task.type == "b"': None,
        'task.type == "b" && task.priority == "low"': "r1",
        'task.priority == "high"': "r0",
        'task.priority == "high" && task.type == "b"': "r1",
        'task.type == "c" && task.priority == "low"': None,
        'task.priority != "high"': "r0",
        'task.priority == "normal" && task.type == "d"': "r6",
    }
    rules = "".join(
        f"- id: r{number}\n  when: task.changed\n  accounts: [london]\n"
        f"  if: '{condition}'\n{NOTIFY}"
        for number, condition in enumerate(conditions)
    )
    named = [warning.message.split('"')[1] for warning in configured(tmp_path, rules).warnings]
    assert named == [one for one in conditions.values() if one is not None]


TOLD = """\
- { id: told, when: { before: task.start, by: 1 day }, hours: office, once_per: task.id,
    then: [{ notify: customer:details }] }
"""
MOVED = """\
- { id: moved, when: { task.rescheduled: [start] }, hours: office, once_per: task.id,
    then: [{ notify: customer:details }] }
"""


@pytest.mark.parametrize(
    ("correction", "count"),
    [
        (MOVED, 0),
        (MOVED.replace("{ task.rescheduled: [start] }", "task.rescheduled"), 0),
        (MOVED.replace("[start]", "[due]"), 2),
        (MOVED.replace("hours: office", "hours: office, accounts: [field]"), 1),
        (MOVED.replace("customer:details", "accounting"), 1),
        (MOVED.replace("hours: office", "hours: office, enabled: false"), 1),
    ],
)
def test_a_move_is_corrected(correction: str, count: int, tmp_path: Path) -> None:
    """By a rule that tells the same customers of a start that was moved."""
    said = [one.message for one in configured(tmp_path, TOLD + correction).warnings]
    assert sum("if the visit is rescheduled" in one for one in said) == count
