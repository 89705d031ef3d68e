"""How faults are shown; the table of faults is tests/faulty."""

import os
from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

from service.config import check
from service.diagnostics import Severity
from tests.harness.rule_files import ENVIRON, HEAD

NOTIFY = '  then: [{ notify: "slack:#o", text: hi }]\n'
RULE = "rules:\n- id: r\n  when: task.completed\n"


def rule(*lines: str) -> str:
    """A rule that only lacks these lines; its third line is the file's 15th."""
    return HEAD + RULE + "".join(f"  {line}\n" for line in lines) + NOTIFY


def when(words: str) -> str:
    return f"{HEAD}rules:\n- id: r\n  when: {words}\n{NOTIFY}"


def then(step: str) -> str:
    return f"{HEAD}{RULE}  then: [{{ {step} }}]\n"


def listed(*lines: str) -> str:
    """A rule by a schedule with these lines, from the file's 15th on."""
    return when('{ schedule: "0 7 * * *" }' + "".join(f"\n  {line}" for line in lines))


def gathered(step: str) -> str:
    return f"{HEAD}{RULE}  group: {{ by: task.title, wait: 1h }}\n  then: [{{ {step} }}]\n"


CRON = 'write minute, hour, day of the month, month and day of the week: "30 7 * * 1-5"'
SEVERAL = (
    "a digest has several tasks: write group.key, group.size or"
    " {% for task in group.tasks %}…{% endfor %}"
)

THEN = 'then: [{ notify: "slack:#o", text: hi }]'

FILES = {
    when('{ schedule: "0 7 * *" }'): f"14:21: a schedule must have five parts, not 4 | {CRON}",
    when('{ schedule: "0 25 * * *" }'): f"14:21: 25 is not a valid hour | {CRON}",
    when("{ schedule: 7 }"): (
        '14:21: a schedule must be text, not the number 7 | write { schedule: "30 7 * * 1-5" }'
    ),
    when("schedule"): ('14:9: a schedule has no value | write { schedule: "30 7 * * 1-5" }'),
    when('{ schedule: "0 7 * * *" }\n  if: task.done'): (
        "15:7: task cannot be used here"
        " | a schedule has no task of its own: write tasks.filter(t, …) with t for each of them"
    ),
    when('{ schedule: "08:00" }\n  group: { by: task.id }\n  together: a'): (
        f"14:21: a schedule must have five parts, not 1 | {CRON}"
    ),
    when('{ schedule: "0 7 * * *" }\n  until: task.done'): (
        "15:3: until needs a task, and this schedule has none"
        " | choose tasks with for_each: tasks.filter(t, …)"
    ),
    when('{ schedule: "0 7 * * *" }\n  group: { by: event.account }'): (
        "15:3: there is nothing to group | choose tasks with for_each: tasks.filter(t, !t.done)"
    ),
    listed("for_each: tasks"): (
        "15:13: for_each must be one filter over tasks | write tasks.filter(t, !t.done && …)"
    ),
    listed("for_each: tasks.filter(t, t.due < now)"): (
        "15:29: t.due may be missing | write has(t.due) && … before it"
    ),
    listed("for_each: tasks.filter(t, t.titel == 'x')"): (
        "15:31: a task has no titel | did you mean title?"
    ),
    listed("for_each: tasks.filter(t, true)", "group: { by: task.title, wait: 1h }"): (
        "16:28: wait cannot be used with a schedule, which sends all tasks at once | remove wait"
    ),
    listed("for_each: tasks.filter(t, true)", "if: before.done"): (
        "16:7: before cannot be used here | this can use event, now, task"
    ),
    rule("group: { by: task.title }"): (
        "15:3: wait is missing in group | write how long to collect tasks, such as wait: 30m"
    ),
    rule(
        "group: { wait: 1h }"
    ): "15:3: by is missing | add by: the field or the condition that groups tasks",
    rule("group: { by: task.tags, wait: 1h }"): (
        "15:16: by must be text, a number or a date, not a list"
    ),
    rule("group: { by: task.title, wait: 1h, max: 0 }"): ("15:43: max must be at least 1, not 0"),
    rule("group: { by: task.title, wait: 1h }", "own_writes: true"): (
        "16:3: own_writes cannot be combined with group | remove one of them"
    ),
    rule("group: { by: task.title, wait: 1h }", "once_per: task.id"): (
        f"16:13: task cannot be used here | {SEVERAL}"
    ),
    rule("for_each: tasks.filter(t, true)"): (
        "15:13: for_each can be used only with a schedule"
        ' | write when: { schedule: "30 7 * * 1-5" }'
    ),
    rule("if: size(tasks) > 3"): (
        "15:7: tasks cannot be used here | use it only in for_each: of a rule with a schedule,"
        " or in its if: without for_each:"
    ),
    rule("if: group.size > 3"): (
        "15:7: group cannot be used here | use it only in the steps of a rule with group:"
    ),
    gathered('notify: slack:#o, text: "{{ task.title }}"'): (
        f"16:40: task cannot be used here | {SEVERAL}"
    ),
    gathered('notify: "email:{{ task.assignee.email }}", text: hi'): (
        f"16:30: task cannot be used here | {SEVERAL}"
    ),
    gathered("notify: customer:details"): (
        "16:20: customer needs exactly one task, and a digest (group) has several | remove group"
    ),
    gathered("notify: slack:#o, text: hi, repeat: { every: 1h, max: 2 }"): (
        "16:48: repeat needs exactly one task, and a digest (group) has several | remove group"
    ),
    gathered("complete_task: true"): (
        "16:27: complete_task needs exactly one task, and a digest (group) has several"
        " | remove group"
    ),
    rule("muted_by: { rule: s, same: task.id }"): "15:21: there is no rule s | known here: r",
    rule("muted_by: { rule: r, same: task.id }"): "15:21: r would mute itself",
    f"{rule('muted_by: { rule: s, same: task.id }')}- {{ id: s, when: task.created, {THEN} }}\n": (
        "15:21: s must be a time-based rule; otherwise it would mute forever"
        " | use a rule such as one for task.overdue"
    ),
    rule("muted_by: { rule: s }"): "15:3: same is missing",
    rule("group: { by: task.title, wait: 1h }", "muted_by: { rule: s, same: task.id }"): (
        "16:13: muted_by needs exactly one task, and a digest (group) has several | remove muted_by"
    ),
    f"{HEAD}storm: {{ messages: 0 }}\n": "12:20: messages must be at least 1, not 0",
    f"{HEAD}storm: {{ within: 30s }}\n": "12:18: within must be at least a minute",
    then("notify: slack:#o, text: hi, approve: slakc:#o"): (
        "15:49: there is no channel slakc | did you mean slack?"
    ),
    then("notify: slack:#o, text: hi, approve: slack"): (
        "15:49: slack needs a target"
        " | write slack:TARGET, such as slack:#office or email:bo@example.com"
    ),
    then("notify: slack:#o, text: hi, approve: customer:details"): (
        "15:49: approve cannot use customer | use one of your own channels, such as slack:#dispatch"
    ),
    then("wait: 2h, approve: slack:#o"): (
        "15:22: approve cannot be set here: only notify, create_task, update_task, complete_task,"
        " reopen_task, delete_task can have it"
    ),
}


def test_who_is_asked_must_be_able_to_answer(tmp_path: Path) -> None:
    """Without Taskbell's address no link leads there, and the configuration is not used."""
    file = tmp_path / "t.yaml"
    file.write_text(then("notify: slack:#o, text: hi, approve: slack:#o"), encoding="utf-8")
    without = {name: value for name, value in ENVIRON.items() if name != "TASKBELL_URL"}
    [fault] = check(file, without)
    assert (fault.line, fault.column) == (15, 49)
    assert fault.message.startswith("TASKBELL_URL is not set, ")
    assert check(file, {**without, "TASKBELL_URL_FILE": "/run/secrets/url"}) == []


@pytest.mark.parametrize(("text", "expected"), FILES.items(), ids=FILES.values())
def test_fault_in_words(text: str, expected: str, tmp_path: Path) -> None:
    """Each faulty file gets one fault: its place, what is wrong in plain words, what to do."""
    file = tmp_path / "t.yaml"
    file.write_text(text, encoding="utf-8")
    errors = [one for one in check(file, ENVIRON) if one.severity is Severity.ERROR]
    said = [
        f"{one.line}:{one.column}: {one.message.replace(str(file), 't.yaml')}"
        + (f" | {one.hint}" if one.hint else "")
        for one in errors
    ]
    assert said == [expected]


def test_fault_is_shown_with_its_line_and_a_caret(tmp_path: Path) -> None:
    """A fault shows the line, marks the place under it, and suggests what was meant."""
    file = tmp_path / "t.yaml"
    file.write_text("version: 1\ntimezone: Europe/Pari\n")
    (fault,) = check(file, {})
    assert str(fault) == (
        f'{file}:2:11: there is no time zone "Europe/Pari"\n'
        "  timezone: Europe/Pari\n"
        "            ^\n"
        "  did you mean Europe/Paris?"
    )


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    """One reading finds the faults of every part, in the order of the file."""
    file = tmp_path / "t.yaml"
    file.write_text(
        "version: 1\n"
        "timezone: Nowhere/Land\n"
        "accounts:\n"
        "  a: { system: kickserv, slug: 3 }\n"
        "rules:\n"
        "- id: r\n"
        "  when: task.compleet\n"
        "  if: task.titel == 'x'\n"
        "  then: []\n"
    )
    assert [fault.line for fault in check(file, {})] == [2, 4, 4, 4, 7, 8, 9]


@pytest.mark.parametrize("at", ["start", "middle", "end"])
def test_of_a_long_line_its_surroundings_are_shown(tmp_path: Path, at: str) -> None:
    """Not a megabyte in a terminal: 240 characters, with the caret under the same place."""
    file = tmp_path / "t.yaml"
    before = "" if at == "start" else " " * 400_000
    after = "" if at == "end" else f" # {'x' * 400_000}"
    file.write_text(f"version: 1\ntimezone: {before}Europe/Pari{after}\n")
    (fault,) = check(file, {})
    _, line, caret, _ = str(fault).splitlines()
    assert len(line) <= 2 + 240 + 2
    assert line[caret.index("^") :].startswith("Europe/Pari")
    assert line.startswith("  …") is (at != "start")
    assert line.endswith("…") is (at != "end")


def test_a_long_word_is_cut_where_it_is_quoted(tmp_path: Path) -> None:
    """A message that repeats what somebody wrote does not repeat a megabyte of it."""
    file = tmp_path / "t.yaml"
    file.write_text(f"version: 1\ntimezone: {'x' * 400_000}\n")
    (fault,) = check(file, {})
    assert len(str(fault)) < 1000
    assert "xxx…" in fault.in_a_line


def test_a_file_whose_name_is_of_another_encoding(tmp_path: Path) -> None:
    """It is named by its bytes, so that what is wrong in it can be told everywhere."""
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml"))
    file.write_text("version: 2\n", encoding="utf-8")
    [fault] = check(tmp_path, {})
    assert fault.file.endswith("\\xff.yaml")
    assert orjson.dumps(asdict(fault))
