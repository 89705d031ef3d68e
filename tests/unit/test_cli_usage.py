"""What is said of wrong use repeats the words that were given, and commands nobody's terminal."""

import sys
from pathlib import Path

import orjson
import pytest

from service.cli.app import main
from service.telemetry.visible import visible
from tests.unit.test_visible import ACTING

WRONG = [
    ("{}",),
    ("check", "--{}"),
    ("check", "there is no {}"),
    ("secret", "{}"),
    ("silence", "{}"),
    ("user", "add", "{}"),
    ("silence", "add", "--rule", "x", "--until", "{}"),
    ("explain", "7", "--at", "{}"),
    ("outbox", "list", "--since", "{}"),
    ("outbox", "list", "--state", "{}"),
    ("send-test", "a", "{}"),
    ("serve", "--port={}"),
    ("tasks", "list", "--state", "{}"),
    ("tasks", "list", "--limit", "{}", "--json"),
    ("hold", "on", "--reason", "x", "--until", "{}"),
    ("hold", "on", "--until", "1h", "--reason", "{}", "--json"),
    ("user", "add", "{}", "--json"),
    ("{}", "--json"),
]


@pytest.mark.parametrize("text", ACTING)
@pytest.mark.parametrize("words", WRONG)
def test_nothing_that_is_said_of_wrong_use_acts(
    words: tuple[str, ...],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Names of options and files, values, and words too many are seen as what they are."""
    monkeypatch.setattr(sys, "argv", ["taskbell", *(word.format(text) for word in words)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = "".join(capsys.readouterr())
    assert ended.value.code in {1, 2}
    assert said
    assert visible(said) == said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("outbox", "retry", "abc"), 'it must be a whole number, not "abc"'),
        (("silence", "expire", "1.5"), 'it must be a whole number, not "1.5"'),
        (("events", "--limit", "0"), "it must be at least 1, not 0"),
        (("events", "--limit", "5000"), "it must be at most 1000, not 5000"),
        (("next", "--within", "soon"), "write for example 30m, 2h or 1 day"),
        (("check", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_what_to_write_instead(
    words: tuple[str, ...],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A value that cannot be read is shown, with what is expected, in the words of the rules."""
    monkeypatch.setattr(sys, "argv", ["taskbell", *words])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert expected in said
    assert "valid" not in said.replace("Invalid value", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nonsense",), 2, "No such command 'nonsense'"),
        (("events", "--limit", "0"), 2, "it must be at least 1, not 0"),
        (("hold", "on"), 2, "Missing option '--until'"),
        (("outbox", "cancel"), 2, "Write the NUMBER"),
    ],
)
def test_wrong_use_is_json_for_scripts(
    words: tuple[str, ...],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same exit code; standard output has one object, standard error nothing."""
    monkeypatch.setattr(sys, "argv", ["taskbell", *words, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (code, "")
    assert said in orjson.loads(out)["error"]


def test_an_error_of_the_configuration_is_json_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fault has its file and line by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["taskbell", "user", "list", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = orjson.loads(capsys.readouterr().out)
    assert ended.value.code == 1
    assert "there is no such file" in said["error"]
    assert [(one["file"], one["line"]) for one in said["faults"]] == [("taskbell.yaml", 1)]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ta", "tasks"),
        ("tasks ", "list show acknowledge assign complete"),
        ("hold o", "on off"),
        ("outbox list --st", "--state"),
    ],
)
def test_shells_complete_commands_and_options(
    typed: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also those of groups, which are imported when they are asked for."""
    monkeypatch.setattr(sys, "argv", ["taskbell"])
    monkeypatch.setenv("_TASKBELL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"taskbell {typed}")
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ") + 1))
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.split() == expected.split()
