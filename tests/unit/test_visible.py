"""What comes from elsewhere is shown, and commands nobody's terminal."""

import io
import logging
import sys
from collections.abc import Callable

import orjson
import pytest
import structlog

from service.cli.doctor.findings import tell, wrong
from service.cli.output import console
from service.settings import Settings
from service.telemetry import log
from service.telemetry.visible import visible

ACTING = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.test\x1b\\",
    "\x9b31m",
    "\x85",
    "all is well\rwrong",
    "\b\b\b\x7f",
    "\u202egnp.exe",
    "\u2066a\u2069",
    "\u200f\u200e\u061c",
    "\u2028",
]
PRINTERS: dict[str, Callable[[str], None]] = {
    "a line": console.print_line,
    "a sentence": lambda text: console.say(text, {}, as_json=False),
    "a value": lambda text: console.say("", {"title": text}, as_json=True),
    "rows": lambda text: console.show_rows([{"t": text}], ["t"], "", as_json=False),
    "rows as JSON": lambda text: console.show_rows([{text: text}], [], "", as_json=True),
    "fields": lambda text: console.show_fields({"t": text}, as_json=False),
    "JSON": console.show_json,
    "a line of JSON": console.print_json_line,
    "an error": lambda text: console.err.print(text, markup=False, soft_wrap=True),
    "markup": lambda text: console.out.print(f"[bold]{text}"),
    "a finding": lambda text: tell([wrong(text, text, text)]),
    "a crash": lambda text: console.tell_crash(ValueError, ValueError(text), None),
}


@pytest.mark.parametrize("text", ACTING)
@pytest.mark.parametrize("what", PRINTERS)
def test_nothing_that_is_printed_acts(
    capsys: pytest.CaptureFixture[str], what: str, text: str
) -> None:
    """Commands to terminals, and marks that turn lines around, are seen as what they are."""
    PRINTERS[what](text)
    printed = "".join(capsys.readouterr())
    assert visible(printed) == printed
    assert "\\u" in printed or "\\r" in printed or "\\b" in printed


@pytest.mark.parametrize("text", ACTING)
def test_json_says_the_same(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """What scripts read is as it was."""
    console.show_json({"title": text, "line": "a\nb\tc"})
    assert orjson.loads(capsys.readouterr().out) == {"title": text, "line": "a\nb\tc"}


def test_half_a_character_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The name of a file that is no UTF-8 ends no command."""
    console.print_line("taskbell-\udcff.yaml")
    assert capsys.readouterr().out == "taskbell-\\udcff.yaml\n"


def test_letters_of_all_languages_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Hebrew, Arabic, combined emoji, line breaks: nothing of that is a command."""
    text = "שלום \u0645\u0631\u062d\u0628\u0627\n\U0001f469\u200d\U0001f527 :bell: é\u00a0"
    console.print_line(text)
    assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.parametrize("text", ACTING)
def test_no_line_of_the_log_acts(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Neither ours nor those of libraries, nor what an error says."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    written = structlog.wrap_logger(
        structlog.PrintLogger(stderr),
        processors=log._rendering(Settings()),
    )
    error = ValueError(text)
    written.info(text, title=text, many=[text], error=error)
    written.error("crashed", exc_info=(ValueError, error, None))
    handler = log._of_libraries(Settings(), stderr)
    handler.emit(logging.LogRecord("lib", logging.WARNING, "", 1, text, (), None))
    said = stderr.getvalue()
    assert said.count("\n") > 3
    assert visible(said) == said
