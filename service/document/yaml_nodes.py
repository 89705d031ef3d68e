"""Parses YAML 1.2 text into nodes with positions.

Uses the parser's events directly, so that depth, aliases and plain scalars are handled here: `on`
is a text, a date is a text, and a file made to exhaust memory is rejected before it can.
"""

import re
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from service.diagnostics import Diagnostic
from service.document.redaction import HIDDEN, of_unreadable, without
from service.document.scanner import OrderedScanner
from service.document.typography import StrayCharacter, stray
from service.errors import ConfigError

MAX_DEPTH = 40
MAX_VALUES = 300_000  # a good ten thousand rules
MAX_ENTRIES = 10_000  # of one list
MAX_NAMES = 5_000  # of one group: each is read like two entries of a list

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FRACTION = re.compile(r"[-+]?(\.[0-9]{1,300}|[0-9]{1,300}(\.[0-9]{0,300})?)([eE][-+]?[0-9]{1,3})?")
_LINE_END = re.compile("\r\n?")
_LINES_BEFORE = 2  # in which what cannot be read may have begun
_SPLIT = "split it into several files in one folder"
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

Pair: TypeAlias = "tuple[Node, Node]"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its position: a scalar, a list of nodes, or pairs of nodes.

    `line` and `column` count from 0. `style` is the scalar's quotation mark or block indicator.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    scalar: Any = None
    items: "tuple[Node, ...] | None" = None
    pairs: "tuple[Pair, ...] | None" = None
    style: str | None = None


def lines_of(text: str) -> list[str]:
    """The lines of a text as the parser counts them; U+2028 and similar characters end none."""
    return _LINE_END.sub("\n", text).removesuffix("\n").split("\n")


def compose(file: str, text: str) -> Node | None:
    """The file's only document, None if it is empty; raises ConfigError if it is not YAML."""
    reader = YAML(typ="safe", pure=True)
    reader.Scanner = OrderedScanner
    try:
        return _Composer(file, text, reader.parse(text)).document()
    except MarkedYAMLError as error:
        raise _unreadable(file, text, error) from None
    except YAMLError as error:
        message = f"this is not text: {str(error).splitlines()[0]}"
        raise _refusal(file, (), (0, 0), message) from None


class _Composer:
    """Builds nodes from the events of one file."""

    def __init__(self, file: str, text: str, events: Iterator[Any]) -> None:
        self._file = file
        self._lines = lines_of(text)
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def document(self) -> Node | None:
        root = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise self._fault(event, "a second document starts here", "keep only one")
                root = self._node(next(self._events), 0)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._fault(event, f"this is nested more than {MAX_DEPTH} levels deep")
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._fault(event, f"the file has more than {MAX_VALUES} values", _SPLIT)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise self._fault(event, f"*{event.anchor} refers to nothing before it")
            return self._anchors[event.anchor]
        self._refuse_tag(event)
        node = self._content(event, depth)
        if event.anchor:
            if is_unwritten(node):
                raise self._fault(event, "text cannot start with &", _QUOTE_IT)
            self._anchors[event.anchor] = node
        return node

    def _content(self, event: Any, depth: int) -> Node:
        if isinstance(event, SequenceStartEvent):
            items = []
            while not isinstance(inner := next(self._events), SequenceEndEvent):
                items.append(self._node(inner, depth + 1))
                self._bound(items, MAX_ENTRIES, "entries", event)
            return self._placed(event, inner, items=tuple(items))
        if isinstance(event, MappingStartEvent):
            pairs = []
            while not isinstance(inner := next(self._events), MappingEndEvent):
                key = self._key(inner)
                value = self._node(next(self._events), depth + 1)
                pairs.append((key, _beside(key, value)))
                self._bound(pairs, MAX_NAMES, "names", event)
            return self._placed(event, inner, pairs=tuple(pairs))
        text = self._text(event)
        scalar = _resolve(text) if event.style is None else text
        return self._placed(event, event, scalar=scalar, style=event.style)

    def _bound(self, found: Sized, most: int, what: str, event: Any) -> None:
        if len(found) > most:
            raise self._fault(event, f"this has more than {most} {what}", _SPLIT)

    def _key(self, event: Any) -> Node:
        if not isinstance(event, ScalarEvent):
            raise self._fault(
                event, "a name is expected here", "put quotes around text that starts with {"
            )
        self._refuse_tag(event)
        return self._placed(event, event, scalar=self._text(event))

    def _text(self, event: Any) -> str:
        if _UNUSABLE.search(event.value):
            raise self._fault(event, "this text contains a character that cannot be stored")
        return str(event.value)

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            hint = "put quotes around text that starts with !"
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._fault(event, f"{tag} cannot be used here", hint)

    def _placed(self, first: Any, last: Any, **content: Any) -> Node:
        start, end = first.start_mark, last.end_mark
        return Node(self._file, start.line, start.column, end.line, end.column, **content)

    def _fault(self, event: Any, message: str, hint: str | None = None) -> ConfigError:
        mark = event.start_mark
        place = (mark.line, mark.column)
        return _refusal(self._file, self._lines, place, message, hint)


def is_unwritten(value: Node) -> bool:
    """Whether a value is missing, or is a plain null."""
    return value.scalar is None and value.style is None and value.items is None is value.pairs


def _beside(key: Node, value: Node) -> Node:
    """The value; a missing one has its position after its name, not where the next one begins."""
    if not is_unwritten(value) or value.line == key.line:
        return value
    end = key.end_column
    return replace(value, line=key.line, column=end, end_line=key.line, end_column=end)


def _resolve(word: str) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    if _INTEGER.fullmatch(word):
        return int(word)
    return float(word) if _FRACTION.fullmatch(word) else word


def _unreadable(file: str, text: str, error: MarkedYAMLError) -> ConfigError:
    is_about_a_name = str(error.problem).startswith(_NO_COLON)
    mark = error.context_mark if is_about_a_name else error.problem_mark or error.context_mark
    lines = lines_of(text)
    line = min(mark.line, max(len(lines) - 1, 0))
    if (found := _stray_before(lines, line)) is not None:
        number, odd = found
        return _refusal(file, lines, (number, odd.offset), odd.message, odd.hint)
    if (comment := _comment_before(lines, line)) is not None:
        return _refusal(file, lines, comment, _HIDDEN_END, "write the value in quotes")
    source = lines[line] if lines else ""
    if "\t" in source[: mark.column + 1]:
        place = (line, mark.column)
        return _refusal(file, lines, place, "there is a tab here", "indent with spaces")
    before = source[: mark.column] if line == mark.line else source
    message, hint = _in_plain_words(str(error.problem), before)
    column = mark.column if line == mark.line else len(source)
    return _refusal(file, lines, (line, column), message, hint)


def _stray_before(lines: Sequence[str], line: int) -> tuple[int, StrayCharacter] | None:
    """A typographic character in this line, or in one of the two before it."""
    for number in range(line, max(line - _LINES_BEFORE, 0) - 1, -1):
        plain = lines[number].partition(" #")[0] if number < len(lines) else ""
        if (odd := stray(plain)) is not None:
            return number, odd
    return None


def _comment_before(lines: Sequence[str], line: int) -> tuple[int, int] | None:
    """Where a comment in place of a value hides a closing bracket; in two lines before too."""
    for number in range(min(line, len(lines) - 1), max(line - _LINES_BEFORE, 0) - 1, -1):
        for found in _IN_PLACE.finditer(lines[number]):
            before, after = lines[number][: found.start(1)], lines[number][found.end(1) :]
            is_quoted = before.count('"') % 2 or before.count("'") % 2
            if not is_quoted and set("[{") & set(before) and set("]}") & set(after):
                return number, found.start(1)
    return None


_HIDDEN_END = "# starts a comment, which hides the closing bracket"
_IN_PLACE = re.compile(r"(?:[:,]\s+|[\[{]\s*)(#[^\s,\]}]+)")
_FIRST_NAME = re.compile(r"\s+(- +)*[\w.-]+")
_QUOTED = re.compile(r""".*:\s+("[^"]*"|'[^']*')\s+""")


def _in_plain_words(problem: str, before: str) -> tuple[str, str | None]:
    """The error after the text `before` it in its line, and a suggestion."""
    if problem.startswith(_NO_MAPPING) and _FIRST_NAME.fullmatch(before):
        return "this line is indented too far", _ALIKE
    if problem.startswith(_NO_END) and _QUOTED.fullmatch(before):
        return "there is text after the closing quote", _QUOTE_ALL
    for pattern, words, hint in _YAML_WORDS:
        if found := re.match(pattern, problem):
            return words.format(*found.groups()), hint
    return f"this is not YAML: {problem}", None


_NO_MAPPING = "mapping values are not allowed here"
_NO_END = "expected <block end>, but found"
_ALIKE = "start this line in the same column as the lines it belongs to"
_NO_COLON = "could not find expected ':'"
_QUOTE_IT = (
    "put quotes around text that starts with a symbol or contains a colon followed by a space"
)
_QUOTE_ALL = "put the whole value in quotes, such as '\"urgent\" in task.tags'"
_YAML_WORDS = (
    (_NO_MAPPING, "a second colon does not fit here", _QUOTE_IT),
    (r"found character '(.)' that cannot", "text cannot start with {}", _QUOTE_IT),
    (r"found unexpected end of stream", "a quotation mark is not closed", None),
    (r"expected '?,'? or '(.)', but got", "a comma or {} is missing before this", None),
    (_NO_END, "this line is not indented like the ones above", None),
    (r"expected the node content", "the file ends before this is closed", None),
    (_NO_COLON, "a colon is missing after the name", None),
)


def _refusal(
    file: str,
    lines: Sequence[str],
    place: tuple[int, int],
    message: str,
    hint: str | None = None,
) -> ConfigError:
    """An error at a line and column, counted from 0, without any possible secret."""
    line, column = place
    shown, hidden = of_unreadable(lines, line)
    fault = Diagnostic(file, line + 1, column + 1, message, shown, hint)
    return ConfigError([without(fault, {hidden: HIDDEN} if hidden else {})])
