"""What is not supported yet, and how faults are shown; the table of faults is tests/faulty."""

from pathlib import Path

import pytest

from service.config import check
from service.faults import Severity
from tests.rule_files import ENVIRON, HEAD

NOTIFY = '  then: [{ notify: "slack:#o", text: hi }]\n'
RULE = "rules:\n- id: r\n  when: task.completed\n"


def rule(*lines: str) -> str:
    """A rule that only lacks these lines; its third line is the file's 15th."""
    return HEAD + RULE + "".join(f"  {line}\n" for line in lines) + NOTIFY


def when(words: str) -> str:
    return f"{HEAD}rules:\n- id: r\n  when: {words}\n{NOTIFY}"


def then(step: str) -> str:
    return f"{HEAD}{RULE}  then: [{{ {step} }}]\n"


FILES = {
    when('{ schedule: "* * * * *" }'): "14:21: schedule is not supported yet",
    rule("group: { by: x }"): "15:3: group is not supported yet",
    then("notify: slack:#o, text: hi, approve: slack:#o"): "15:40: approve is not supported yet",
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
