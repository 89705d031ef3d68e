"""Finds reads of fields that may be missing and are not guarded by `has(…)` or `in`.

CEL reads an unset date as 1 January 1970, so that `task.due < now` is true of a task without a due
date; and reading a custom field that a task does not have is an error. For a task without a state
`before`, it reads everything as empty. So a rule must check them before it reads them. The check
for a date may be in another condition or in the trigger, and can be wrong: so an unguarded date is
evaluated by an expression that fails if the date is not set.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from service.domain.model import TIMES
from service.rules.language.syntax_tree import Tree, children, dotted, node_kind

BEFORE = "before"
_DOT = r"\.(\s|//[^\n]*\n)*"


@dataclass(frozen=True, slots=True)
class Unguarded:
    """A read of `name`, which may be missing, at this offset in characters.

    If `proof` exists, `name` exists, too.
    """

    name: str
    proof: str
    offset: int


def unguarded(tree: Tree, known: Iterable[str]) -> list[Unguarded]:
    """The unguarded reads; `known` are names that surely exist."""
    return [
        Unguarded(name, name if _may_be_missing(node) else f"{BEFORE}.id", tree.offset(node))
        for node in _reads(tree.root, frozenset(known))
        for name in [dotted(node) or _last_name(node)]
    ]


def strict(text: str, tree: Tree) -> str:
    """The expression in which every unguarded date fails if it is not set.

    CEL's optional values do that: `task.due` becomes `task.?due.value()`.
    """
    dates = [node for node in _reads(tree.root, frozenset()) if _is_date(node)]
    for node in sorted(dates, key=tree.position, reverse=True):
        dot, name = tree.position(node), node.select.field
        behind = re.sub(f"{_DOT}{name}", f".?{name}.value()", text[dot:], count=1)
        text = text[:dot] + behind
    return text


def proven(node: Any, *, truth: bool) -> frozenset[str]:
    """The names that must exist if the value of the expression is `truth`."""
    call = node.call if node_kind(node) == "call" else None
    if call is None:
        checked = node_kind(node) == "select" and node.select.test_only and truth
        return frozenset({dotted(node) or ""}) if checked else frozenset()
    if call.function == "!_":
        return proven(call.args[0], truth=not truth)
    if call.function == ("_&&_" if truth else "_||_"):
        return proven(call.args[0], truth=truth) | proven(call.args[1], truth=truth)
    if call.function == "@in" and truth:
        return frozenset({f"{dotted(call.args[1])}.{call.args[0].const.string}"})
    return frozenset()


def _reads(root: Any, known: frozenset[str]) -> list[Any]:
    """The nodes that read a field that may be missing, each once."""
    return list({node.id: node for node in _found(root, known, root)}.values())


def _found(node: Any, known: frozenset[str], path: Any) -> Iterator[Any]:
    """As `_reads`; `path` is the outermost node of a path such as `before.assignee.name`."""
    if _is_before(node) and not _is_there(BEFORE, known):
        yield path
    if _may_be_missing(node) and dotted(node) not in known:
        yield node
    goes_on = node_kind(node) == "select" or _is_index(node)
    for child, more in _with_knowledge(node):
        yield from _found(child, known | more, path if goes_on else child)


def _with_knowledge(node: Any) -> Iterator[tuple[Any, frozenset[str]]]:
    """Each part of an expression, and the names whose existence the parts beside it prove.

    In `a && b`, `a` only matters where `b` is true, whichever comes first.
    """
    function = node.call.function if node_kind(node) == "call" else None
    if function in {"_&&_", "_||_"}:
        one, other = node.call.args
        truth = function == "_&&_"
        yield one, proven(other, truth=truth)
        yield other, proven(one, truth=truth)
    elif function == "_?_:_":
        condition, then, otherwise = node.call.args
        yield condition, frozenset()
        yield then, proven(condition, truth=True)
        yield otherwise, proven(condition, truth=False)
    else:
        for child in children(node):
            asked = frozenset({BEFORE}) if _asks_about(node, child) else frozenset[str]()
            yield child, asked


def _asks_about(node: Any, child: Any) -> bool:
    """Whether `node` tests if something is in `child`, and is false if `child` is empty."""
    if node_kind(node) == "select":
        return bool(node.select.test_only)
    function = node.call.function if node_kind(node) == "call" else None
    return function == "_?._" or (function == "@in" and _is_fields(child))


def _is_before(node: Any) -> bool:
    return node_kind(node) == "ident" and node.ident.name == BEFORE


def _is_index(node: Any) -> bool:
    return node_kind(node) == "call" and node.call.function == "_[_]"


def _is_there(noun: str, known: frozenset[str]) -> bool:
    return any(name.partition(".")[0] == noun for name in known)


def _may_be_missing(node: Any) -> bool:
    if node_kind(node) == "select":
        if node.select.test_only:
            return False
        return _is_date(node) or _is_fields(node.select.operand)
    return _is_index(node) and _is_fields(node.call.args[0])


def _is_date(node: Any) -> bool:
    return node_kind(node) == "select" and node.select.field in TIMES


def _is_fields(node: Any) -> bool:
    return node_kind(node) == "select" and node.select.field == "fields"


def _last_name(node: Any) -> str:
    return str(node.select.field) if node_kind(node) == "select" else "fields"
