"""What is said of wrong use repeats the words that were given, and commands nobody's terminal."""

import sys

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
