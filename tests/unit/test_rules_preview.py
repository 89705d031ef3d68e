"""How many tasks match a rule before it is switched on."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.domain.model import Task
from service.rules.preview import already_matching
from tests.harness.rule_files import configured
from tests.harness.tasks import BO, START, task

DAY = timedelta(days=1)
ZONES = {"london": ZoneInfo("Europe/London"), "field": ZoneInfo("America/New_York")}
TASKS = [
    task("new", assignee=BO),
    task("done", done=True, due=START - DAY, completed_at=START),
    task("late", due=START - DAY),
    task("just late", due=START - timedelta(hours=1), account="field"),
    task("tomorrow", due=START + timedelta(hours=20)),
    task("past", start=START - DAY),
]


def count(folder: Path, when: str, *more: str, tasks: list[Task] | None = None) -> int:
    rule = "\n  ".join(
        ("- id: r", f"when: {when}", *more, 'then: [{ notify: "slack:#o", text: hi }]')
    )
    rules = configured(folder, rule).rules
    return already_matching(rules, TASKS if tasks is None else tasks, ZONES, START)["r"]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("task.created", 6),
        ("task.completed", 1),
        ("task.overdue", 2),
        ("{ task.overdue: 2h }", 1),
        ("{ task.due_soon: 1 day }", 1),
        ("{ task.starting_soon: 1h }", 0),
        ("{ after: task.due, by: 1h }", 2),
        ("task.reopened", 0),
        ("task.changed", 0),
        ("{ task.rescheduled: [due] }", 0),
        ("task.deleted", 0),
        ("task.restored", 0),
    ],
)
def test_each_kind_of_rule(tmp_path: Path, when: str, expected: int) -> None:
    """What can be told by how a task looks now is counted; what is about to begin must be true."""
    assert count(tmp_path, when) == expected


def test_conditions_accounts_and_nonsense(tmp_path: Path) -> None:
    """Only tasks that the rule would act on; one for which a condition has no value is none."""
    assert count(tmp_path, "task.created", "if: has(task.assignee)") == 1
    assert count(tmp_path, "task.overdue", "accounts: [field]") == 1
    untitled = [task("a", title=""), task("b", title="b")]
    assert count(tmp_path, "task.created", "if: 1 / size(task.title) == 1", tasks=untitled) == 1


def test_a_rule_that_is_off_and_no_tasks(tmp_path: Path) -> None:
    """Every rule that is on is in the answer, also with nothing."""
    assert count(tmp_path, "task.created", tasks=[]) == 0
    rules = configured(
        tmp_path,
        "- { id: off, enabled: false, when: task.created, then: [{ notify: accounting }] }",
    ).rules
    assert already_matching(rules, TASKS, ZONES, START) == {}
