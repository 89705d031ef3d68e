"""Explains the result of an expression by the values of all its parts.

Each part is evaluated by itself on the rule's input, by the same code as the whole. A part that did
not count, because the parts before it had decided, is marked as not needed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from service.domain.model import TIMES
from service.rules.language.expressions import EvaluationError, Expression, syntax
from service.rules.language.named_lists import LISTS, NamedLists
from service.rules.language.scope import Scope
from service.rules.language.source_spans import Span, SpanFinder
from service.rules.language.syntax_tree import dotted, node_kind, walk
from service.rules.language.trace import Trace, TraceStatus
from service.rules.language.vocabulary import NOUNS

_CHAINS = {"_&&_": False, "_||_": True}
_CHOICE = "_?_:_"
# `task.?due` holds a value or none: CEL does not hand such a thing out.
_OPTIONAL = {"_?._", "_[?_]"}


def trace(expression: Expression, scope: Scope) -> Trace:
    """The whole expression and all its parts, evaluated in `scope`."""
    cutter = SpanFinder(expression.text, syntax(expression.text))
    tracer = _Tracer(cutter, scope, expression.lists)
    return tracer.trace_part(tracer.cutter.whole())


def traces(conditions: Sequence[Expression], scope: Scope) -> Iterator[Trace]:
    """The conditions of a rule, which must all be true; those after a false one are skipped."""
    holds = True
    for one in conditions:
        found = trace(one, scope) if holds else Trace(one.text, TraceStatus.NOT_NEEDED)
        holds = holds and (found.finding is TraceStatus.FAILED or found.value is True)
        yield found


class _Tracer:
    def __init__(self, cutter: SpanFinder, scope: Scope, lists: NamedLists) -> None:
        self.cutter = cutter
        self._lists = lists
        self._scope = scope

    def trace_part(self, piece: Span) -> Trace:
        text = self.cutter.text(piece)
        parts = tuple(self._inside(piece))
        try:
            if self._is_missing(piece, text):
                return Trace(text, TraceStatus.MISSING)
            return Trace(text, TraceStatus.KNOWN, self._value(text), parts=parts)
        except EvaluationError as error:
            return Trace(text, TraceStatus.FAILED, reason=error.reason, parts=parts)

    def _inside(self, piece: Span) -> Iterator[Trace]:
        if piece.function in _CHAINS:
            return self._chain(list(self._operands(piece, piece.function)), _CHAINS[piece.function])
        if piece.function == _CHOICE:
            return self._choice(piece)
        return (
            self.trace_part(one) for one in self.cutter.inside(piece) if _is_informative(one.node)
        )

    def _operands(self, piece: Span, function: str) -> Iterator[Span]:
        """`a && b && c` has three parts of equal rank, however CEL has paired them."""
        if piece.function != function:
            yield piece
            return
        for one in self.cutter.inside(piece):
            yield from self._operands(one, function)

    def _chain(self, operands: list[Span], decisive: bool) -> Iterator[Trace]:  # noqa: FBT001
        """One part after the other, up to the first that decides."""
        decided = False
        for one in operands:
            if decided:
                yield self._skipped(one)
                continue
            found = self.trace_part(one)
            decided = found.value is decisive
            yield found

    def _choice(self, piece: Span) -> Iterator[Trace]:
        condition, then, otherwise = self.cutter.inside(piece)
        asked = self.trace_part(condition)
        yield asked
        yield self.trace_part(then) if asked.value is True else self._skipped(then)
        yield self.trace_part(otherwise) if asked.value is False else self._skipped(otherwise)

    def _skipped(self, piece: Span) -> Trace:
        return Trace(self.cutter.text(piece), TraceStatus.NOT_NEEDED)

    def _value(self, text: str) -> Any:
        part = Expression(text, frozenset(), lists=self._lists)
        value = part.value(self._scope.activation, self._scope.zone)
        return MessageToDict(value, preserving_proto_field_name=True) if _is_noun(value) else value

    def _is_missing(self, piece: Span, text: str) -> bool:
        """Whether CEL would read a placeholder for a missing value: "" or 1970."""
        if node_kind(piece.node) != "select" or piece.node.select.test_only:
            return False
        if piece.node.select.field in TIMES:
            return self._value(f"has({text})") is False
        return self._value(text) is not False and self._value(f"has({text})") is False


def _is_noun(value: Any) -> bool:
    return isinstance(value, Message)


def _is_informative(node: Any) -> bool:
    """Whether a part depends on the task, and is no whole noun or list, with too many values."""
    if node_kind(node) == "call" and node.call.function in _OPTIONAL:
        return False
    name = dotted(node) or ""
    if name.partition(".")[0] == LISTS:
        return False
    return name not in NOUNS and any(node_kind(one) == "ident" for one in walk(node))
