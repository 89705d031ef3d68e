"""The values of a configuration that may be secrets, and output without them."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from service.diagnostics import Diagnostic, Path
from service.document.redaction import HIDDEN, OPEN, REFERENCE, stars, without, without_users
from service.document.yaml_nodes import Node, is_unwritten

_SECRET_NAMES = ("token", "secret", "password", "api_key", "url", "webhook_url")
# Whose values are words of the configuration's own language.
_WORDED = frozenset(
    ("system", "kind", "timezone", "verify", "tls", "role", "method", "severity", "priority")
)
# Values that are no secrets if they look like what their name asks for.
_ADDRESS = re.compile(
    r"([a-z]+://[a-z0-9.-]+|localhost|[a-z-]+(\.[a-z-]+)+|\d{1,3}(\.\d{1,3}){3})(:\d{1,5})?(/[a-z-]{1,20})*/?"
)
_TERMS = r"[\w.()\[\], =!<>&|+-]*"
_FORMS = {
    "base_url": _ADDRESS,
    "api_url": _ADDRESS,
    "slug": re.compile(r"[a-z-]{1,30}"),
    # A condition over the answer to a webhook, with short words only.
    "success": re.compile(rf"(?=.*\b(status|headers|body)\b){_TERMS}(\"\w{{0,12}}\"{_TERMS})*"),
    "from": re.compile(r"([A-Za-z ]+ <)?[A-Za-z.+-]+@[a-z-]+(\.[a-z-]+)+>?"),
}
_WORD = re.compile(r"[A-Za-z][A-Za-z_/+-]{0,29}")
_SMALL = re.compile(r"[+-]?\d{1,4}(\.\d{1,2})? ?([a-z]{0,2}|(business )?(minute|hour|day|week)s?)")
_COMMENT = re.compile(r"(?:(?<=\s)|^)#(.*)")


class SecretValues:
    """The secrets in the files of a configuration, whose lines these are."""

    def __init__(self, lines: Mapping[str, Sequence[str]]) -> None:
        self._lines = lines
        self._spans: defaultdict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        self._commented: set[tuple[str, int]] = set()
        self._examined: set[tuple[Path, int, bool]] = set()
        self._named: dict[str, str] = {}
        self._values: defaultdict[Path, dict[str, str]] = defaultdict(dict)

    def look_through(self, root: Node) -> None:
        """Collect the possible secrets of a file."""
        for key, value in root.pairs or ():
            if key.scalar not in OPEN:
                self._commented |= {(key.file, n) for n in range(key.line, value.end_line + 1)}
            self._examine(value, (str(key.scalar),), is_secret=False)

    def _examine(self, node: Node, path: Path, *, is_secret: bool) -> None:
        """Examine the value at `path`: once, even if aliases repeat it."""
        seen = (path[:2], id(node), is_secret)
        if seen in self._examined:
            return
        self._examined.add(seen)
        if node.scalar is not None:
            self._classify(node, path, is_secret=is_secret)
        for item in node.items or ():
            self._examine(item, path, is_secret=is_secret)
        for key, value in node.pairs or ():
            self._examine_pair(key, value, path, is_secret=is_secret)

    def _examine_pair(self, key: Node, value: Node, path: Path, *, is_secret: bool) -> None:
        is_open, name = path[0] in OPEN, str(key.scalar)
        if not is_open and is_unwritten(value) and not self._has_colon(key):
            self._hide((*path, name), key)  # no name at all, but a value that lacks one
        # The name of an account, and of a channel, is a person's own.
        is_named = (is_open or len(path) > 1) and _is_secret(name)
        self._examine(value, (*path, name), is_secret=is_secret or is_named)

    def _classify(self, node: Node, path: Path, *, is_secret: bool) -> None:
        if is_secret:
            self._named |= dict.fromkeys(_literals(node), HIDDEN)
            self._hide(path, node)
        elif path[0] not in OPEN and not _is_harmless(path, node.scalar):
            self._hide(path, node)

    def line(self, file: str, number: int) -> str:
        """A line, counted from 0, redacted."""
        lines = self._lines.get(file, ())
        text = lines[number] if number < len(lines) else ""
        for start, end in self._spans.get((file, number), ()):
            text = text[:start] + stars(text[start:end]) + text[end:]
        if (file, number) in self._commented:
            text = _COMMENT.sub(lambda found: "#" + stars(found[1]), text)
        return without_users(text)

    def add(self, put_in: Mapping[Path, Mapping[str, str]]) -> None:
        """Add the values from the environment and from files, with what is shown in their place."""
        for path, values in put_in.items():
            self._named |= values
            self._values[_names(path)] |= values

    def redacted(self, fault: Diagnostic, path: Path) -> Diagnostic:
        """An error about the value at `path`, without any possible secret."""
        around = _names(path)
        hidden: dict[str, str] = {}
        elsewhere = dict(self._named)
        for place, values in self._values.items():
            if place[: len(around)] == around or around[: len(place)] == place:
                hidden |= values
            elif place[:2] == around[:2]:  # in the same account or channel
                elsewhere |= values
        shown = replace(fault, source_line=self.line(fault.file, fault.line - 1))
        return without(shown, hidden, elsewhere)

    def _hide(self, path: Path, node: Node) -> None:
        literals = _literals(node)
        if not literals:
            return
        self._values[path] |= dict.fromkeys(literals, HIDDEN)
        lines = self._lines[node.file]
        for number in range(node.line, min(node.end_line + 1, len(lines))):
            start = node.column if number == node.line else 0
            end = node.end_column if number == node.end_line else len(lines[number])
            self._spans[node.file, number].append((start, end))

    def _has_colon(self, key: Node) -> bool:
        """Whether it is a name: a single value in braces may be anything."""
        lines = self._lines[key.file]
        behind = lines[key.end_line][key.end_column :] if key.end_line < len(lines) else ""
        return behind.lstrip().startswith(":")


def _names(path: Path) -> Path:
    """A path without the positions in lists: each of a list is as secret as all of it."""
    return tuple(part for part in path if isinstance(part, str))


def _literals(node: Node) -> set[str]:
    """The literal parts of a value, without its references."""
    return {part for part in REFERENCE.split(str(node.scalar)) if part}


def _is_harmless(path: Path, value: Any) -> bool:
    if isinstance(value, bool):
        return True
    text = str(value)
    form = _WORD if path[-1] in _WORDED else _FORMS.get(str(path[-1]), _SMALL)
    return bool(form.fullmatch(text) or _SMALL.fullmatch(text))


@lru_cache(maxsize=10_000)
def _is_secret(name: str) -> bool:
    """Whether its value must not be shown; a misspelt name must not reveal it either."""
    return bool(get_close_matches(name.lower(), _SECRET_NAMES, n=1, cutoff=0.8)) or any(
        word in name.lower() for word in ("secret", "token", "password")
    )
