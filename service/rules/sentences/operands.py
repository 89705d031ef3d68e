"""The operands of a comparison in words: fields, values, times and lengths of time."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from service.domain.durations import in_words
from service.rules.language.source_spans import Span, SpanFinder
from service.rules.language.syntax_tree import dotted, node_kind
from service.rules.sentences.fields import Names, is_time
from service.rules.sentences.phrases import short

Sort: TypeAlias = Literal["time", "day", "length", "text", "truth", "field", "number"]

_LENGTH = re.compile(r"(\d+)([hms])")
_UNITS = {"h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_WORD = re.compile(r"[\w-]+")
_NEAR = {"now": "today", "1 day from now": "tomorrow", "1 day ago": "yesterday"}
_MOST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a comparison in words, and what it is."""

    words: str
    kind: Sort

    @property
    def quoted(self) -> str:
        """A text in quotation marks, anything else as it is."""
        return f"“{self.words}”" if self.kind == "text" else self.words


def bare(operand: Operand) -> str:
    """A text of one word without quotation marks, as in `its priority is high`."""
    return operand.words if _WORD.fullmatch(operand.words) else operand.quoted


class Operands:
    """Reads operands; None stands for one that has no words."""

    def __init__(self, finder: SpanFinder, names: Names) -> None:
        self._finder = finder
        self._names = names

    def read(self, span: Span) -> Operand | None:
        if node_kind(span.node) == "const":
            return _constant(span.node.const)
        if (path := dotted(span.node)) is not None:
            return self._path(path)
        match span.function:
            case "duration" | "timestamp" as name:
                return _written(name, span.node.call.args[0])
            case "date":
                return self._day(span)
            case "_+_" | "_-_" as sign:
                return self._shifted(span, sign)
            case _:
                return None

    def _path(self, path: str) -> Operand | None:
        if path == "now":
            return Operand("now", "time")
        words = self._names.field(path)
        if words is None:
            return None
        return Operand(words, "time" if is_time(path) else "field")

    def _day(self, span: Span) -> Operand | None:
        [inner] = self._finder.inside(span)
        moment = self.read(inner)
        if moment is None:
            return None
        return Operand(_NEAR.get(moment.words, f"the day of {moment.words}"), "day")

    def _shifted(self, span: Span, sign: str) -> Operand | None:
        """A time before or after another one, or the length between two times."""
        one, other = (self.read(each) for each in self._finder.inside(span))
        if one is None or other is None or one.kind != "time":
            return None
        if other.kind == "time" and sign == "_-_":
            return Operand(f"the time from {other.words} to {one.words}", "length")
        if other.kind != "length":
            return None
        if one.words == "now":
            words = "from now" if sign == "_+_" else "ago"
            return Operand(f"{other.words} {words}", "time")
        word = "after" if sign == "_+_" else "before"
        return Operand(f"{other.words} {word} {one.words}", "time")


def _constant(const: Any) -> Operand | None:
    if const.HasField("string"):
        return Operand(short(const.string), "text")
    if const.HasField("bool"):
        return Operand("true" if const.bool else "false", "truth")
    if const.HasField("int"):
        return Operand(str(const.int), "number")
    if const.HasField("double"):
        return Operand(str(const.double), "number")
    return None


def _written(name: str, argument: Any) -> Operand | None:
    if node_kind(argument) != "const" or not argument.const.HasField("string"):
        return None
    text = str(argument.const.string)
    if name == "timestamp":
        return Operand(text, "time")
    found = _LENGTH.fullmatch(text)
    is_simple = found is not None and len(found[1]) <= _MOST_DIGITS
    words = in_words(int(found[1]) * _UNITS[found[2]]) if found and is_simple else text
    return Operand(words, "length")
