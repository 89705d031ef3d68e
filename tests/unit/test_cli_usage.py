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
