"""`taskbell check`: what a person sees of a faulty configuration, and what a script gets."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from tests.harness.commands import started, taskbell

GOOD = """\
version: 1
accounts:
  field: { system: kickserv, base_url: "https://k.test", slug: acme, token: "${API_TOKEN}" }
channels:
  slack: { kind: slack, token: xoxb-hidden }
rules:
- id: done
  when: task.completed
  then: [{ notify: "slack:#office", text: "{{ task.title }}" }]
"""
FAULTY = GOOD.replace("task.completed", "task.complete").replace("kind: slack", "kind: slak")
UNSURE = GOOD.replace("task.title", "task.status")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "taskbell.yaml"
    path.write_text(GOOD)
    return path


async def test_a_good_configuration_is_said_to_be_good(file: Path) -> None:
    """Without arguments it is the one that Taskbell would use."""
    result = await started(file.parent, "check", API_TOKEN="t0ken")
    assert (result.code, result.out, result.err) == (0, "taskbell.yaml: no errors\n", "")


async def test_every_fault_is_shown_with_its_place_and_what_to_do(file: Path) -> None:
    """All at once: file, line and column, the line, a caret under the word, a suggestion."""
    file.write_text(FAULTY)
    result = await taskbell(file.parent, "check", COLUMNS="40")
    assert result.code == 1
    assert "taskbell.yaml:3:78: API_TOKEN is not set in the environment" in result.out
    assert (
        "taskbell.yaml:8:9: there is no event task.complete\n"
        "    when: task.complete\n"
        "          ^\n"
        "  did you mean task.completed?\n"
    ) in result.out
    assert "did you mean slack?" in result.out
    assert result.out.endswith("taskbell.yaml: 3 errors\n")
    assert "xoxb-hidden" not in result.out


async def test_warnings_are_fine_unless_strict(file: Path) -> None:
    """What may be meant is shown, and only --strict makes it count."""
    file.write_text(UNSURE)
    relaxed = await taskbell(file.parent, "check", API_TOKEN="t0ken")
    strict = await taskbell(file.parent, "check", "--strict", API_TOKEN="t0ken")
    assert (relaxed.code, strict.code) == (0, 1)
    assert "warning: " in relaxed.out
    assert relaxed.out.endswith("taskbell.yaml: 1 warning\n")
    assert "task.status is always empty in" in relaxed.out


async def test_a_script_gets_json(file: Path) -> None:
    """`check --json` prints the same faults, field by field."""
    file.write_text(FAULTY)
    result = await taskbell(file.parent, "check", "--json", str(file), API_TOKEN="t0ken")
    assert result.code == 1
    assert result.json["fine"] is False
    _, last = result.json["faults"]
    assert (last["line"], last["column"]) == (8, 9)
    assert last["message"] == "there is no event task.complete"
    assert (last["severity"], last["hint"]) == ("error", "did you mean task.completed?")


@pytest.mark.parametrize("words", [("check", "nowhere.yaml"), ("check", "--lenient"), ("chekc",)])
def test_wrong_use_is_told_from_a_wrong_file(words: tuple[str, ...]) -> None:
    """Exit code 2, and how it is used."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert result.stdout == ""
