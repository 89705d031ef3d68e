"""Bad inputs out of good ones: other values, other shapes, other bytes, other words."""

from collections.abc import Callable
from random import Random
from typing import Any

import orjson

from tests.harness.corridor import copy

DATES = (
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "-0001-11-30T00:00:00+00:00",
    "0000-00-00 00:00:00",
    "2026-02-30",
    "infinity",
    "2026-03-06T12:00:00+99:99",
    "2026-W10-5",
    "20260306",
    "12/31/2026",
    "yesterday",
)
TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1e400",
    "NaN",
    "null",
    "true",
    "a" * 10_000,
    "\0",
    "a\0b",
    "\x1b[2J\x07",
    "\u202etxt.exe",
    "\ufeff",
    "\U0001f514" * 50,
    "e\u0301" * 200,
    "<script>alert(1)</script>",
    "{{ task.title }}{% for i in (1..9) %}",
    "${env:HOME}",
    "'; DROP TABLE tasks; --",
    "../../../../etc/passwd",
    "http://169.254.169.254/",
    '{"id": 1, "data": {"id": 2}}',
    "[" * 200,
    "a\r\nX-Header: b",
)
LARGEST = 2**20  # bytes; whatever is larger is refused unread
NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**64 - 1, -(2**63), 0.1, -0.0, 1e308, 5e-324)
ODD: tuple[Any, ...] = (
    *DATES,
    *TEXTS,
    *NUMBERS,
    None,
    True,
    False,
    [],
    {},
    [None],
    [[[[]]]],
    {"": ""},
    {"id": {"id": {}}},
    [{}, {}, 1, "a"],
    {str(number): number for number in range(100)},
)
NOT_JSON = (
    b"",
    b"\xef\xbb\xbf",
    b"NaN",
    b"-Infinity",
    b"'",
    b"\xff\xfe",
    b"\\ud800",
    b"\0",
    b"1" * 400,
    b"[" * 300,
    b'{"a":' * 300,
    b"/**/",
)
WORDS = (
    *("task.title", "task.due", "task.done", "before", "now", "customer", "true", "null", "1h"),
    *(
        "task.tags.all(t, t)",
        "size()",
        "&&",
        "||",
        "!",
        "==",
        "in",
        "?",
        ":",
        "..",
        "**",
        "&a",
        "*a",
    ),
    *(
        "{{",
        "}}",
        "{%",
        "%}",
        "|",
        "${X}",
        "!!python/object",
        "<<: *a",
        "---",
        "\t",
        "\0",
        "\u2028",
    ),
    *("- ", "[", "]", "{", "}", "'", '"', "#", "@", "`", "|-", ">", "? ", "0x1F", "1_000", "~"),
    *("Mo-Su", "24/7", "PH", "0 9 * * *", "99 weeks", "-1 day", "2026-02-30", "Europe/Atlantis"),
)


class Mutations:
    """Bad inputs by one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)  # noqa: S311 (chance is wanted that can be had again)

    def value(self, good: Any) -> Any:
        """A JSON value with one to four faults somewhere in it; `good` stays as it is."""
        root = [copy(good)]
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            self._spoil(*self._somewhere(root))
        return root[0]

    def body(self, good: Any) -> bytes:
        """Such a value as text, of which every fourth is no JSON any more; up to `LARGEST`."""
        text = orjson.dumps(self.value(good))
        text = text if self.rng.random() < 3 / 4 else self.bytes(text)
        return text[:LARGEST]

    def bytes(self, good: bytes) -> bytes:
        """A text in which some bytes are others, or missing, or more."""
        text = bytearray(good)
        for _ in range(self.rng.choice((1, 1, 3, 8))):
            start = self.rng.randrange(len(text) + 1)
            end = min(len(text), start + self.rng.choice((0, 0, 1, 2, 20, 2000)))
            byte = bytes([self.rng.randrange(256)])
            text[start:end] = self.rng.choice((b"", byte, bytes(text[start:end]) * 3, *NOT_JSON))
        return bytes(text)

    def text(self, good: str) -> str:
        """A document of lines in which words and lines are others, or missing, or more."""
        lines = good.split("\n")
        for _ in range(self.rng.choice((1, 1, 2, 5))):
            number = self.rng.randrange(len(lines))
            spoil = self.rng.choice((self._reworded, self._reworded, self._rewritten, self._torn))
            lines[number] = spoil(lines[number])
            if self.rng.random() < 1 / 4:
                lines.insert(self.rng.randrange(len(lines)), self.rng.choice(lines))
        return "\n".join(lines)

    def line(self, good: str) -> str:
        """An expression or a template with such faults."""
        return (
            self._rewritten(self._reworded(good)) if self.rng.random() < 1 / 2 else self._torn(good)
        )

    def _somewhere(self, root: list[Any]) -> tuple[Any, Any]:
        """A container and the place in it of some value, the deeper the rarer."""
        inside: Any = root
        place: Any = 0
        while isinstance(found := inside[place], dict | list) and found:
            if self.rng.random() < 1 / 5:
                break
            inside = found
            keys = list(found) if isinstance(found, dict) else range(len(found))
            place = self.rng.choice(keys)
        return inside, place

    def _spoil(self, inside: Any, place: Any) -> None:
        found = inside[place]
        changes: tuple[Callable[[], Any], ...] = (
            lambda: copy(self.rng.choice(ODD)),
            lambda: copy(self.rng.choice(ODD)),
            lambda: [found],
            lambda: {"data": found},
            lambda: str(found)[:1000],
            lambda: [found] * 30,
            lambda: self._renamed(found),
        )
        if isinstance(inside, dict) and self.rng.random() < 1 / 5:
            del inside[place]
        else:
            inside[place] = self.rng.choice(changes)()

    def _renamed(self, found: Any) -> Any:
        """An object whose names are others; other values as they are."""
        if not isinstance(found, dict):
            return found
        return {
            self.rng.choice((name.upper(), f"{name} ", name[::-1])): one
            for name, one in found.items()
        }

    def _reworded(self, line: str) -> str:
        words = line.split(" ")
        words[self.rng.randrange(len(words))] = self.rng.choice((*WORDS, *TEXTS[:8], *DATES))
        return " ".join(words)

    def _rewritten(self, line: str) -> str:
        place = self.rng.randrange(len(line) + 1)
        return line[:place] + self.rng.choice(WORDS) + line[place + self.rng.choice((0, 0, 1, 5)) :]

    def _torn(self, line: str) -> str:
        """A line that is cut, doubled, or moved to the side."""
        place = self.rng.randrange(len(line) + 1)
        return self.rng.choice((line[:place], line[place:], line * 2, f"  {line}", line.lstrip()))
