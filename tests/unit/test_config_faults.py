"""Faulty files and the exact words their writer gets."""

from pathlib import Path

import pytest

from service.config import check
from service.faults import Severity
from tests.rule_files import ENVIRON, HEAD

NOTIFY = '  then: [{ notify: "slack:#o", text: hi }]\n'
RULE = "rules:\n- id: r\n  when: task.completed\n"
KICKSERV = (
    "version: 1\naccounts:\n"
    "  a: { system: kickserv, slug: a, base_url: https://k.test, token: abcdefgh"
)
LETSLIGO = (
    "version: 1\naccounts:\n"
    "  a: { system: letsligo, base_url: https://l.test, token: abcdefgh }\n"
    "rules:\n- id: r\n  when: task.completed\n"
)


def rule(*lines: str) -> str:
    """A rule that only lacks these lines; its third line is the file's 15th."""
    return HEAD + RULE + "".join(f"  {line}\n" for line in lines) + NOTIFY


def when(words: str) -> str:
    return f"{HEAD}rules:\n- id: r\n  when: {words}\n{NOTIFY}"


def then(step: str) -> str:
    return f"{HEAD}{RULE}  then: [{{ {step} }}]\n"


LENGTH = "write it like 30m, 2h, 1 day or 2 business hours"

FILES = {
    # YAML itself
    "version: 1\nrules: [": "2:9: the file ends before this is closed",
    "version: 1\n\trules: []": "2:1: there is a tab here | indent with spaces",
    "version: 1\nrules: *x\n": "2:8: *x refers to nothing before it",
    "version: 1\n---\nversion: 1\n": "2:1: a second document begins here | keep only one",
    "version: 1\nrules: 'a": "2:10: a quotation mark is not closed",
    "- a\n": "1:1: a configuration begins with names such as accounts:, channels:, rules:",
    "": "1:1: version is missing",
    "version: 1\nrules: []\nrules: []\n": "3:1: rules is here twice; the first is in t.yaml:2",
    "version: 2\n": "1:10: version is 1; 2 is a number",
    "version: 1\nrulez: []\n": "2:1: there is no rulez here | did you mean rules?",
    f"{HEAD}operator: slakc:#ops\n": "12:11: there is no channel slakc | did you mean slack?",
    f"{HEAD}operator: slack\n": ("12:11: slack needs a target | write slack:… with whom or where"),
    f"{HEAD}operator: customer:details\n": (
        "12:11: customer goes by an account, and that may be what fails | name a channel"
    ),
    f'{HEAD}operator: "slack:{{{{ task.id }}}}"\n': (
        "12:11: the operator is always the same, whatever the task | write it out"
    ),
    f"{HEAD}operator: [slack]\n": "12:11: operator is text; this is a list",
    # accounts, channels, network, time, operator
    "version: 1\naccounts:\n  a: { slug: x }\n": "3:3: system is missing",
    "version: 1\naccounts:\n  a: 3\n": "3:6: a needs system: and what belongs to it",
    "version: 1\naccounts:\n  a: { system: planner }\n": (
        "3:16: there is no system planner | did you mean plannr?"
    ),
    f"{KICKSERV}, poll: 60 }}\n": f"3:84: poll: 60 has no unit | {LENGTH}",
    f"{KICKSERV}, poll: 0s }}\n": "3:84: poll is at least 1s",
    f"{KICKSERV}, pol: 2m }}\n": "3:78: there is no pol here | did you mean poll?",
    f"{KICKSERV}, timezone: Europe/Londn }}\n": (
        '3:88: there is no time zone "Europe/Londn" | did you mean Europe/London?'
    ),
    f"{KICKSERV}, webhook: {{ verify: github }} }}\n": "3:78: verify: github needs a secret",
    f"{LETSLIGO}  then: [{{ create_task: {{ title: Again }} }}]\n": (
        "7:25: a (letsligo) cannot create task: its tasks can only be read"
    ),
    f"{LETSLIGO}  then: [{{ update_task: {{ title: Again }} }}]\n": (
        "7:25: a (letsligo) cannot update task: its tasks can only be read"
    ),
    f"{LETSLIGO}  then: [{{ complete_task: true }}]\n": (
        "7:27: a (letsligo) cannot complete task: its tasks can only be read"
    ),
    f"{KICKSERV}, per_minute: many }}\n": '3:90: per_minute is a whole number; "many" is text',
    'version: 1\nchannels:\n  s: { kind: slack, token: "${SLAKC_TOKEN}" }\n': (
        "3:29: SLAKC_TOKEN is not set in the environment | did you mean SLACK_TOKEN?"
    ),
    'version: 1\nchannels:\n  s: { kind: slack, token: "${file:/nowhere}" }\n': (
        "3:29: the file /nowhere cannot be read: No such file or directory"
    ),
    "version: 1\nchannels:\n  s: { kind: slak }\n": (
        "3:14: there is no kind slak | did you mean slack?"
    ),
    "version: 1\nchannels:\n  s: { kind: slack }\n": "3:3: give either token or webhook_url",
    "version: 1\nnetwork: { allow: [3.5] }\n": (
        "2:20: allow is a network such as 10.0.0.0/8; 3.5 is a number"
    ),
    'version: 1\nhours: { office: "Mo-Fri 8-17" }\n': (
        '2:24: the opening hours cannot be read here | write them like "Mo-Fr 08:00-17:00; PH off"'
    ),
    'version: 1\nhours: { o: "24/7" }\nholidays: { country: ZZ }\n': (
        "2:13: there is no country ZZ | write US, GB, DE …"
    ),
    # when
    when("task.complete"): "14:9: there is no event task.complete | did you mean task.completed?",
    when("{ task.overdue: 2x }"): f'14:25: "2x" is no length of time | {LENGTH}',
    when("{ task.changed: [strat] }"): "14:26: task.changed knows no strat | did you mean start?",
    when("{ task.completed: [due] }"): (
        "14:27: task.completed takes no fields | write only task.completed"
    ),
    when('{ schedule: "* * * * *" }'): "14:21: schedule is not supported yet",
    when("task.due_soon"): (
        "14:9: task.due_soon needs a length of time | write { task.due_soon: 1h }"
    ),
    when("{ before: task.completed_at, by: 1d }"): (
        "14:19: before needs a date of an open task | did you mean task.created_at?"
    ),
    when("{ before: task.start, at: 4pm }"): (
        '14:35: at is a time of day | write it like at: "16:00"'
    ),
    when("{ task.due_soon: 1 business day }"): (
        "14:26: 1 business day depends on opening hours, which do not count here | "
        "write it like 30m, 2h or 1 day"
    ),
    # if
    HEAD + RULE.replace("task.completed", "task.overdue") + "  settle: 2m\n" + NOTIFY: (
        "15:11: a rule by the clock has no change to wait for the end of | leave settle out"
    ),
    rule("if: task.typo == 1"): "15:12: a task has no typo | did you mean type?",
    rule("if: task.priority == 3"): "15:21: task.priority is text; 3 is a number",
    rule("if: task.due < now"): (
        "15:7: task.due may be missing | write has(task.due) && … before it"
    ),
    rule("if: task.title"): "15:7: a condition is true or false; this is text",
    rule("if: [task.done and true]"): "15:18: and does not fit here | write &&",
    rule("if: task.title = 'x'"): "15:18: = does not fit here | write == to compare",
    rule("if: task.type == job"): (
        '15:20: job is not known here | if it is meant as text, write "job"'
    ),
    rule("if: !task.done"): (
        "15:7: !task.done cannot be used here | a text that begins with ! must stand in quotes"
    ),
    rule("if: 3"): "15:7: an expression is expected here; 3 is a number",
    # the rest of a rule
    rule("group: { by: x }"): "15:3: group is not supported yet",
    rule("enabled: shadow"): "15:12: enabled: shadow is not supported yet",
    rule("hours: offcie"): "15:10: there are no hours offcie | did you mean office?",
    rule("hours: { use: office, outside: hodl }"): (
        '15:34: outside is hold, skip or ignore; "hodl" is text'
    ),
    rule("once_per: task.tags"): ("15:13: once_per takes text, numbers and dates; this is a list"),
    rule("until: before.done"): "15:10: before cannot be used here",
    rule("accounts: [feild]"): "15:14: there is no account feild | did you mean field?",
    # then
    then("notify: slakc:#o, text: hi"): "15:20: there is no channel slakc | did you mean slack?",
    then("notify: slack, text: hi"): (
        "15:20: slack needs a target | write slack:… with whom or where"
    ),
    then("notify: slack:#o"): "15:10: text is missing: there is nothing to say",
    then("notify: slack:#o, txt: hi, text: x"): "15:30: there is no txt here | did you mean text?",
    then("notify: slack:#o, text: {{ task.title }}"): (
        "15:37: a name is expected here | a text that begins with { must stand in quotes"
    ),
    then('notify: slack:#o, text: "Hi {{ task.due | locl }}"'): (
        "15:54: there is no filter locl | did you mean local?"
    ),
    then('notify: slack:#o, text: "{{ task.title"'): "15:37: {{ is not closed by }}",
    then('notify: "email:{{ task.asignee.email }}", text: x'): (
        "15:30: task.asignee.email means nothing and renders as nothing | did you mean assignee?"
    ),
    then("notify: slack:#o, text: hi, approve: slack:#o"): "15:40: approve is not supported yet",
    then("notify: email:a@b, text: hi, on_undo: update"): (
        "15:50: email cannot rewrite what it sent"
    ),
    then("notfy: slack:#o"): "15:12: there is no step notfy | did you mean notify?",
    then("wait: 2h, notify: accounting"): (
        "15:10: wait and notify are two steps | begin each with a dash"
    ),
    then("create_task: { title: x, due: soon }"): f'15:42: "soon" is no length of time | {LENGTH}',
    then("create_task: { title: x, priority: urgent }"): (
        '15:47: priority is one of low, normal, high, highest; "urgent" is text'
    ),
    then("notify: 'slack:#${ROOM}', text: hi"): (
        "15:20: ${…} is for accounts, channels and network; a rule sees only the task"
    ),
}


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
