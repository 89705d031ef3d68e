"""Conditions in words; a part for which there are no words stays as it is written."""

from collections.abc import Iterable
from typing import Any

from service.rules.language.expressions import syntax
from service.rules.language.named_lists import LISTS
from service.rules.language.source_spans import Span, SpanFinder
from service.rules.language.syntax_tree import dotted, node_kind
from service.rules.language.task_counts import question
from service.rules.sentences.fields import PLURALS, Names
from service.rules.sentences.operands import Operand, Operands, bare
from service.rules.sentences.phrases import Phrase, code, joined, listed, with_article

_AND, _OR, _NOT, _IN = "_&&_", "_||_", "!_", "@in"
_EQUAL = {"_==_": "is", "_!=_": "is not"}
_TIMES = {
    "_<_": "is earlier than",
    "_<=_": "is not later than",
    "_>_": "is later than",
    "_>=_": "is not earlier than",
}
_AMOUNTS = {
    "_<_": "is less than",
    "_<=_": "is at most",
    "_>_": "is more than",
    "_>=_": "is at least",
}
_QUESTIONS = {
    "exists": ("there is a task for which ", "there is no task for which "),
    "all": ("for every task, ", "not for every task, "),
}
_TEXTS = {
    "contains": ("contains", "does not contain"),
    "startsWith": ("begins with", "does not begin with"),
    "endsWith": ("ends with", "does not end with"),
}


def conditions(texts: Iterable[str]) -> Phrase:
    """Conditions that must all be true, in words."""
    found = [part for text in texts for part in _Reader.of(text).parts()]
    return _all(found)


def filtered(text: str) -> Phrase:
    """The condition of a filter over tasks (`for_each`), or of a question, in words."""
    tree = syntax(text)
    loop = tree.root.comprehension
    finder = SpanFinder(text, tree)
    args, is_question = loop.loop_step.call.args, question(tree.root) is not None
    chosen = finder.filtered(args[1] if is_question else args[0])
    return _all(_Reader(finder, chosen, Names(loop.iter_var)).parts())


def _all(parts: list[tuple[Phrase, bool]]) -> Phrase:
    """The parts, all of which must be true; those with `or` in brackets if there are others."""
    several = len(parts) > 1
    phrases = [("(", *said, ")") if several and is_choice else said for said, is_choice in parts]
    return joined(phrases, ", and ")


class _Reader:
    """Reads one condition."""

    def __init__(self, finder: SpanFinder, whole: Span, names: Names) -> None:
        self._finder = finder
        self._whole = whole
        self._names = names
        self._operands = Operands(finder, names)

    @classmethod
    def of(cls, text: str) -> "_Reader":
        finder = SpanFinder(text, syntax(text))
        return cls(finder, finder.whole(), Names())

    def parts(self) -> list[tuple[Phrase, bool]]:
        """What must be true: each in words, and whether it is a choice of several."""
        return [(self._said(one), one.function == _OR) for one in self._flat(self._whole, _AND)]

    def _flat(self, span: Span, function: str) -> list[Span]:
        """The operands of the same operator, one after the other."""
        if span.function != function:
            return [span]
        return [each for one in self._finder.inside(span) for each in self._flat(one, function)]

    def _said(self, span: Span) -> Phrase:
        if span.function in {_AND, _OR}:
            return self._several(span)
        said = self._simple(span, is_so=True)
        return code(self._finder.text(span)) if said is None else said

    def _several(self, span: Span) -> Phrase:
        word = " and " if span.function == _AND else " or "
        inner = {_AND, _OR} - {span.function}
        parts = [
            (self._said(one), one.function in inner) for one in self._flat(span, span.function)
        ]
        return joined([("(", *said, ")") if nested else said for said, nested in parts], word)

    def _simple(self, span: Span, *, is_so: bool) -> Phrase | None:
        """What is true, or what is not, in words; None if there are none."""
        if span.function == _NOT:
            [inner] = self._finder.inside(span)
            return self._simple(inner, is_so=not is_so)
        if span.function == _IN:
            return self._among(span, is_so=is_so)
        if span.function in _TEXTS:
            return self._text(span, _TEXTS[span.function][0 if is_so else 1])
        if (words := _QUESTIONS.get(question(span.node) or "")) is not None:
            return (words[0] if is_so else words[1], *filtered(self._finder.text(span)))
        if span.function in _EQUAL | _TIMES and is_so:
            return self._compared(span)
        return self._field(span.node, is_so=is_so)

    def _field(self, node: Any, *, is_so: bool) -> Phrase | None:
        path = dotted(node)
        if path is None:
            return None
        if node_kind(node) == "select" and node.select.test_only:
            return self._has(path, is_so=is_so)
        said = self._names.truth(path, is_so=is_so)
        return None if said is None else (said,)

    def _has(self, path: str, *, is_so: bool) -> Phrase | None:
        if path == "before.id":
            return ("it was known before" if is_so else "it was not known before",)
        found = self._names.owner(path)
        if found is None:
            return (self._own(path, is_so=is_so),) if ".fields." in path else None
        who, noun = found
        verb = "had" if path.startswith("before.") else "has"
        what = (noun if noun in PLURALS else with_article(noun)) if is_so else f"no {noun}"
        return (f"{who} {verb} {what}{' before' if verb == 'had' else ''}",)

    def _own(self, path: str, *, is_so: bool) -> str:
        around, _, name = path.partition(".fields.")
        who = self._names.field(around) or "it"
        return f"{who} has {'the' if is_so else 'no'} field “{name}”"

    def _compared(self, span: Span) -> Phrase | None:
        one, other = self._finder.inside(span)
        if question(one.node) is not None and node_kind(other.node) == "const":
            verb = (_EQUAL | _AMOUNTS)[span.function]
            return (*self._counted(one), f" {verb} {self._finder.text(other)}")
        left, right = self._operands.read(one), self._operands.read(other)
        if left is None or right is None:
            return None
        if span.function in _EQUAL:
            return self._equal(one, left, right, _EQUAL[span.function])
        verbs = _TIMES if left.kind == "time" else _AMOUNTS
        return (f"{left.words} {verbs[span.function]} {right.words}",)

    def _counted(self, span: Span) -> Phrase:
        [inner] = self._finder.inside(span)
        if dotted(inner.node) is not None:
            return ("the number of all tasks",)
        return ("the number of tasks for which (", *filtered(self._finder.text(inner)), ")")

    def _equal(self, one: Span, left: Operand, right: Operand, verb: str) -> Phrase | None:
        if right.kind == "truth":
            return self._field(one.node, is_so=(right.words == "true") == (verb == "is"))
        empty = right.kind == "text" and not right.words
        return (f"{left.words} {verb} {'empty' if empty else bare(right)}",)

    def _text(self, span: Span, verb: str) -> Phrase | None:
        target, argument = (self._operands.read(one) for one in self._finder.inside(span))
        if target is None or argument is None:
            return None
        return (f"{target.words} {verb} “{argument.words}”",)

    def _among(self, span: Span, *, is_so: bool) -> Phrase | None:
        one, other = self._finder.inside(span)
        value, path = self._operands.read(one), dotted(other.node)
        if value is None:
            return None
        if path is None:
            return self._one_of(value, other, is_so=is_so)
        if path.startswith(f"{LISTS}."):
            verb = "is" if is_so else "is not"
            return (f"{value.words} {verb} in the list “{path.split('.')[1]}”",)
        if path.endswith(".fields") and self._names.field(path) is not None:
            return (self._own(f"{path}.{value.words}", is_so=is_so),)
        whole = self._names.field(path)
        if whole is None:
            return None
        are_many = path.rpartition(".")[2] in PLURALS
        verb = "include" if are_many else "includes"
        if not is_so:
            verb = "do not include" if are_many else "does not include"
        return (f"{whole} {verb} {value.quoted}",)

    def _one_of(self, value: Operand, other: Span, *, is_so: bool) -> Phrase | None:
        """Whether a value is one of those in a list."""
        if node_kind(other.node) != "list":
            return None
        elements = list(other.node.list.elements)
        choices = [one.const.string for one in elements if one.const.HasField("string")]
        if not choices or len(choices) != len(elements):
            return None
        verb = "is" if is_so else "is not"
        return (f"{value.words} {verb} {listed(map(str, choices), 'or')}",)
