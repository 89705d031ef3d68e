"""Questions about all tasks in the `if` of a schedule."""

from pathlib import Path

import pytest

from service.rules.sentences import sentence
from tests.harness.rule_files import configured, tried

ON_FRIDAY = 'when: { schedule: "0 15 * * 5" }'
TODAY = "t.done && has(t.completed_at) && date(t.completed_at) == date(now)"


def rule(condition: str) -> str:
    """A rule that posts every Friday at three if this is true."""
    return f"""{{ id: r, {ON_FRIDAY}, accounts: [field], if: '{condition}',
        then: [{{ notify: "slack:#o", text: hi }}] }}"""


async def test_nothing_was_completed_today(tmp_path: Path) -> None:
    """A task that was done yesterday does not count, one that is done today does."""
    result = await tried(
        tmp_path,
        rule(f"!tasks.exists(t, {TODAY})"),
        test="""name: It, start: 2026-03-05 12:00, given: [{ id: A }, { id: B }], steps: [
            { at: 2026-03-05 13:00,
              change: { A: { done: true, completed_at: 2026-03-05 13:00 } } },
            { at: 2026-03-06 15:00, expect: [{ notify: "slack:#o" }] },
            { at: 2026-03-13 13:00,
              change: { B: { done: true, completed_at: 2026-03-13 12:59 } } },
            { at: 2026-03-13 15:00, expect: [] },
            { at: 2026-03-20 15:00, expect: [{ notify: "slack:#o" }] }]""",
    )
    assert result.failures == []


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("size(tasks) == 3", True),
        ("tasks.size() > 3", False),
        ("size(tasks) > 2 && size(tasks) < 4", True),
        ("size(tasks.filter(t, t.done)) >= 1 && size(tasks.filter(t, t.done)) < 2", True),
        ("size(tasks.filter(t, !t.done)) == 2", True),
        ('tasks.filter(t, t.title.contains("oof")).size() == 1 && now > event.at', False),
        ('tasks.filter(t, t.title.contains("oof")).size() == 1 && now == event.at', True),
        ("tasks.all(t, t.done)", False),
        ('tasks.all(t, t.title != "") ? tasks.exists(t, t.done) : false', True),
        ("size(tasks.filter(t, t.done)) < size(tasks.filter(t, !t.done))", True),
        ('!(tasks.exists(t, t.tags.exists(g, g == "x")) || tasks.exists(t, t.done))', False),
        (
            "tasks.exists(t, has(t.created_at) && t.created_at < event.at) && size(tasks) > 2",
            True,
        ),
    ],
)
async def test_the_answers(tmp_path: Path, condition: str, holds: bool) -> None:  # noqa: FBT001
    """Counts, any and all, together with other conditions; deleted tasks do not count."""
    said = '{ notify: "slack:#o" }' if holds else ""
    given = "created_at: 2026-03-01"
    result = await tried(
        tmp_path,
        rule(condition),
        test=f"""name: It, start: 2026-03-05 12:00, given: [{{ id: A, title: Roof, {given} }},
            {{ id: B, title: Gate, done: true, {given} }}, {{ id: C, title: Wall, {given} }},
            {{ id: D, title: Gone, {given} }}], steps: [
            {{ at: 2026-03-05 13:00, change: {{ D: deleted }} }},
            {{ at: 2026-03-06 15:00, expect: [{said}] }}]""",
    )
    assert result.failures == []


async def test_an_account_without_tasks(tmp_path: Path) -> None:
    """Of no tasks none exists, and all are done."""
    conditions = "tasks.all(t, t.done) && !tasks.exists(t, true) && size(tasks) == 0"
    result = await tried(
        tmp_path,
        rule(conditions),
        test="""name: It, start: 2026-03-05 12:00, steps: [
            { at: 2026-03-06 15:00, expect: [{ notify: "slack:#o" }] }]""",
    )
    assert result.failures == []


async def test_a_task_that_cannot_be_asked_does_not_count(tmp_path: Path) -> None:
    """A date that is not set, and was not checked, is an error for this task alone."""
    result = await tried(
        tmp_path,
        rule('tasks.exists(t, t.tags[0] == "x")'),
        test="""name: It, start: 2026-03-05 12:00, given: [{ id: A }, { id: B, tags: [x] }],
            steps: [{ at: 2026-03-06 15:00, expect: [{ notify: "slack:#o" }] }]""",
    )
    assert result.failures == []


def test_the_sentence_of_such_a_rule() -> None:
    """Questions have words, with the words of their conditions."""
    said = {
        "!tasks.exists(t, t.done)": "there is no task for which it is done",
        "tasks.all(t, !t.done)": "for every task, it is not done",
        "size(tasks.filter(t, t.done)) < 3": "the number of tasks for which (it is done) is less",
    }
    for condition, words in said.items():
        raw = {"when": {"schedule": "0 7 * * *"}, "if": condition, "then": [{"notify": "x"}]}
        assert words in "".join(sentence(raw))


def test_the_questions_are_part_of_the_rule(tmp_path: Path) -> None:
    """A rule without one reads no task when its schedule comes."""
    with_it = configured(tmp_path, f"- {rule('size(tasks) == 0')}\n").rules
    without = configured(tmp_path, f"- {rule('now > event.at')}\n").rules
    assert [one.reads_all_tasks("r") for one in (with_it, without)] == [True, False]


LIST = """{ id: r, when: { schedule: "0 15 * * 5" }, accounts: [field],
    for_each: "tasks.filter(t, !t.done)", if: task.title != "secret",
    group: { by: "'all'", empty: send },
    then: [{ notify: "slack:#o", text: "{{ group.key }}: {% if group.size == 0 %}nothing{%
        else %}{{ group.tasks | map: 'title' | join: ', ' }}{% endif %}" }] }"""


async def test_a_list_that_says_nothing(tmp_path: Path) -> None:
    """It is sent, too, if `for_each` chooses no task, or `if` leaves none."""
    result = await tried(
        tmp_path,
        LIST,
        test="""name: It, start: 2026-03-05 12:00, given: [{ id: A, title: Roof }], steps: [
            { at: 2026-03-06 15:00, expect: [{ notify: "slack:#o", contains: "all: Roof" }] },
            { at: 2026-03-07 12:00, change: { A: { title: secret } } },
            { at: 2026-03-13 15:00, expect: [{ notify: "slack:#o", contains: "all: nothing" }] },
            { at: 2026-03-14 12:00, change: { A: { done: true } } },
            { at: 2026-03-20 15:00,
              expect: [{ notify: "slack:#o", contains: "all: nothing" }] }]""",
    )
    assert result.failures == []


async def test_a_list_that_is_skipped_when_empty(tmp_path: Path) -> None:
    """That is so unless the rule says otherwise."""
    result = await tried(
        tmp_path,
        LIST.replace(", empty: send", ""),
        test="""name: It, start: 2026-03-05 12:00, steps: [
            { at: 2026-03-06 15:00, expect: [] }]""",
    )
    assert result.failures == []
