"""docs/troubleshooting.md quotes what people see: each text still stands in the code."""

import re
from functools import cache
from html import unescape
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
_HEADING = re.compile(r'^### "(.+)"$', re.MULTILINE)
_CELL = re.compile(r'^\| "(.+?)" \|', re.MULTILINE)
_ALSO = re.compile(r'^Also "(.+?)"', re.MULTILINE)
# Between the parts of one text that is written on several lines.
_SEAM = re.compile(r'"\s*(?:\n\s*)?f?"')
_LEAST = 8  # letters of a quotation, without its gaps


def quoted() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return [*_HEADING.findall(text), *_CELL.findall(text), *_ALSO.findall(text)]


@cache
def sources() -> tuple[str, ...]:
    """The texts of all files that people see something of, each on one line."""
    files = [
        path
        for top in ("service", "workers")
        for kind in ("*.py", "*.html")
        for path in (ROOT / top).rglob(kind)
    ]
    return tuple(_SEAM.sub("", unescape(file.read_text(encoding="utf-8"))) for file in files)


def test_there_are_many() -> None:
    assert len(quoted()) > 40


@pytest.mark.parametrize("text", quoted())
def test_a_quotation_stands_in_the_code(text: str) -> None:
    """All its parts, without the gaps that "…" stands for, stand in one file."""
    parts = [part.strip(" .:;()") for part in text.split("…")]
    assert sum(map(len, parts)) >= _LEAST
    said = any(all(part in source for part in parts) for source in sources())
    assert said, f"{text!r} is said nowhere"


def test_every_explanation_of_slack_is_one() -> None:
    """What the table says to do about Slack is about Slack's own refusals."""
    table = PAGE.read_text("utf-8").partition('### "Slack refused')[2].partition("\n###")[0]
    slack = (ROOT / "service" / "channels" / "slack.py").read_text("utf-8")
    assert len(_CELL.findall(table)) > 5
    assert [one for one in _CELL.findall(table) if f'"{one}"' not in slack] == []
