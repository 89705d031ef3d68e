"""Finds the part of an expression's text that a node of its syntax tree was parsed from.

CEL gives the position of each node's operator or bracket, but not where the node begins and ends.
That follows from the text: before an operator, after it, or between two commas.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.rules.language.syntax_tree import Tree, children, node_kind

_BINARY = {
    *("_&&_", "_||_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"),
    *("_+_", "_-_", "_*_", "_/_", "_%_", "@in"),
}
_UNARY = {"!_", "-_"}
_CLOSES = {"(": ")", "[": "]", "{": "}"}
# A string or a comment is one token: a bracket inside it does not count.
_WORD = re.compile(
    r"""[rR]"[^"]*"|[rR]'[^']*'|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|//[^\n]*|.""", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Span:
    """A node, and where its text begins and ends in the whole expression (characters)."""

    node: Any
    begin: int
    end: int

    @property
    def function(self) -> str:
        """The name of the function or operator, such as `_&&_`; empty if the node is not a call."""
        return str(self.node.call.function) if node_kind(self.node) == "call" else ""


class SpanFinder:
    """Divides the text of an expression into the spans of its syntax tree."""

    def __init__(self, text: str, tree: Tree) -> None:
        self._text = text
        self._tree = tree

    def whole(self) -> Span:
        return self._piece(self._tree.root, 0, len(self._text))

    def text(self, piece: Span) -> str:
        """The text of a span."""
        return self._text[piece.begin : piece.end]

    def inside(self, piece: Span) -> list[Span]:
        """The spans directly inside; none if the text cannot be divided further."""
        function, at = piece.function, self._tree.position(piece.node)
        if function in _BINARY:
            one, other = piece.node.call.args
            behind = at + len(function.strip("_@"))
            return [self._piece(one, piece.begin, at), self._piece(other, behind, piece.end)]
        if function in _UNARY:
            return [self._piece(piece.node.call.args[0], at + 1, piece.end)]
        if function == "_?_:_":
            return self._choice(piece, at)
        if self._text[at : at + 1] == "(":
            return [*self._target(piece, at), *self._arguments(piece, at)]
        return []

    def filtered(self, condition: Any) -> Span:
        """The condition of an expression that is one filter: `tasks.filter(t, condition)`."""
        opens = self._tree.position(self._tree.root)
        _, comma, closes = self._commas(opens, len(self._text))
        return self._piece(condition, comma + 1, closes)

    def _choice(self, piece: Span, at: int) -> list[Span]:
        condition, then, otherwise = piece.node.call.args
        # Between the colon and what follows there are only brackets and spaces.
        colon = self._text.rfind(":", at, self._tree.offset(otherwise))
        return [
            self._piece(condition, piece.begin, at),
            self._piece(then, at + 1, colon),
            self._piece(otherwise, colon + 1, piece.end),
        ]

    def _target(self, piece: Span, at: int) -> Iterator[Span]:
        """The target of a method call; for a macro such as `exists`, the list it runs over."""
        is_loop = node_kind(piece.node) == "comprehension"
        if is_loop or (piece.function and piece.node.call.HasField("target")):
            dot = self._text.rfind(".", piece.begin, at)
            yield self._piece(children(piece.node)[0], piece.begin, dot)

    def _arguments(self, piece: Span, at: int) -> list[Span]:
        if not piece.function:
            return []
        commas = list(self._commas(at, piece.end))
        return [
            self._piece(node, begin + 1, end)
            for node, begin, end in zip(piece.node.call.args, commas, commas[1:], strict=False)
        ]

    def _commas(self, at: int, end: int) -> Iterator[int]:
        """The bracket that opens at `at`, the commas between it and its end, and its end."""
        yield at
        for place, word, depth in self._nested(at, end):
            if depth == 1 and word == ",":
                yield place
            if depth == 0:
                yield place
                return

    def _nested(self, begin: int, end: int) -> Iterator[tuple[int, str, int]]:
        """Each token: where it begins, its text, and how many brackets are open after it."""
        depth = 0
        for found in _WORD.finditer(self._text, begin, end):
            word = found[0]
            depth += (word in _CLOSES) - (word in _CLOSES.values())
            yield found.start(), word, depth

    def _piece(self, node: Any, begin: int, end: int) -> Span:
        """A span without the spaces and brackets around it."""
        while True:
            shown = self._text[begin:end]
            begin += len(shown) - len(shown.lstrip())
            end -= len(shown) - len(shown.rstrip())
            if not self._is_bracketed(begin, end):
                return Span(node, begin, end)
            begin, end = begin + 1, end - 1

    def _is_bracketed(self, begin: int, end: int) -> bool:
        if self._text[begin : begin + 1] != "(":
            return False
        closes = next(place for place, _, depth in self._nested(begin, end) if depth == 0)
        return closes == end - 1
