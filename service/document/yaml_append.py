"""Adds an entry at the end of a list of an unfinished YAML text, and leaves the rest as it is."""

import re
from collections.abc import Sequence
from textwrap import indent

_DASH = re.compile(r"(\s*)- ")
_NOTHING = frozenset({"", "[]", "~", "null"})
_USUAL = "  "


def appended(text: str, section: str, entry: str) -> str | None:
    """The text with one more entry in the list below this name at its top.

    The entry begins with a dash in its first column. None: the list is in brackets.
    """
    lines = text.rstrip("\n").split("\n")
    start = next((at for at, line in enumerate(lines) if _begins(line, section)), None)
    if start is None:
        head = f"{text.rstrip()}\n\n" if text.strip() else ""
        return f"{head}{section}:\n{indent(entry.rstrip(), _USUAL)}\n"
    if lines[start].partition(":")[2].partition(" #")[0].strip() not in _NOTHING:
        return None
    lines[start] = lines[start].partition(":")[0] + ":" + _comment(lines[start])
    end = _end(lines, start)
    own = lines[start + 1 : end]
    found = next((dash for line in own if (dash := _DASH.match(line))), None)
    added = indent(entry.rstrip(), _USUAL if found is None else found[1]).split("\n")
    between = [""] if "" in map(str.strip, own) else []
    return "\n".join([*lines[:end], *between, *added, *lines[end:]]) + "\n"


def _begins(line: str, section: str) -> bool:
    return re.match(rf"{re.escape(section)}\s*:(\s|$)", line) is not None


def _comment(line: str) -> str:
    found = re.search(r"\s+#.*", line)
    return "" if found is None else found[0]


def _end(lines: Sequence[str], start: int) -> int:
    """The number of the line behind the last one of the list."""
    last = start
    for at, line in enumerate(lines[start + 1 :], start + 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith((" ", "\t", "- ")) and line != "-":
            break
        last = at
    return last + 1
