"""Partial evaluation of conditions without a task.

Some fields of an account are known statically: those that its system never fills, and those that
have one of a few words. Everything that depends on another field is `UNKNOWN`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from service.diagnostics import Path
from service.rules.language.syntax_tree import Tree, children, dotted, node_kind, walk
from service.sources.facts import Words


class Known(Enum):
    """Markers for values that are not known exactly."""

    UNKNOWN = "unknown"
    EMPTY = "empty"


UNKNOWN, EMPTY = Known.UNKNOWN, Known.EMPTY
Field: TypeAlias = Callable[[str], Any]
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "_<_": lambda one, other: one < other,
    "_<=_": lambda one, other: one <= other,
    "_>_": lambda one, other: one > other,
    "_>=_": lambda one, other: one >= other,
}
_SEARCHES: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}


@dataclass(frozen=True, slots=True)
class StaticCondition:
    """A condition: its tree, the node to evaluate, its place, and its name for the task."""

    tree: Tree
    node: Any
    path: Path
    variable: str = "task"

    def plain(self, name: str) -> str:
        """The name as other conditions write it: `task.due` for `t.due`."""
        first, dot, rest = name.partition(".")
        return f"task{dot}{rest}" if first == self.variable else name


@dataclass(frozen=True, slots=True)
class StaticCause:
    """A field that decides the result, and the word it was compared with, if its words matter."""

    name: str
    node: Any
    word: str | None = None


@dataclass(slots=True)
class PartialEvaluator:
    """Evaluates conditions; `told` returns what is known of a field, by its name.

    That is a value, `Words`, `EMPTY` or `UNKNOWN`. `causes` collects the fields that decided.
    """

    told: Field
    causes: list[StaticCause] = field(default_factory=list)

    def of(self, node: Any) -> Any:
        """The value, `EMPTY`, or `UNKNOWN`."""
        match node_kind(node):
            case "const":
                return _constant(node)
            case "ident" | "select":
                return self._read(node)
            case "call":
                return self._call(node, node.call.function)
            case "list":
                return [self.of(one) for one in node.list.elements]
            case "comprehension":
                return self._loop(node.comprehension)
            case _:
                return UNKNOWN

    def _read(self, node: Any) -> Any:
        name = dotted(node)
        told = UNKNOWN if name is None else self.told(name)
        if told in (EMPTY, "", False):
            self.causes.append(StaticCause(name or "", node))
        if node_kind(node) == "select" and node.select.test_only:
            return False if told in (EMPTY, "", False) else UNKNOWN
        return told

    def _call(self, node: Any, function: str) -> Any:
        call = node.call
        if function in {"_&&_", "_||_"}:
            return _joined([self.of(one) for one in call.args], decisive=function == "_||_")
        if function == "!_":
            value = self.of(call.args[0])
            return not value if isinstance(value, bool) else UNKNOWN
        if function == "_?_:_":
            asked = self.of(call.args[0])
            branches = [self.of(one) for one in call.args[1:]]
            return branches[not asked] if isinstance(asked, bool) else _agreed(branches)
        if function in {"_==_", "_!=_", "@in"}:
            return self._compared(node, function)
        values = [self.of(one) for one in children(node)]
        if function in _SEARCHES or function in _ORDERS:
            return _applied(function, values)
        return _size(values[0]) if function == "size" else UNKNOWN

    def _compared(self, node: Any, function: str) -> Any:
        left, right = (self.of(one) for one in node.call.args)
        if function == "@in":
            return self._within(node, left, right)
        if isinstance(right, Words):
            left, right = right, left
        if isinstance(left, Words) and isinstance(right, str):
            is_equal = UNKNOWN if left.has(right) else self._no_word(node, right)
        elif Known.UNKNOWN in (left, right) or isinstance(left, Words):
            is_equal = UNKNOWN
        else:
            is_equal = left == right and left is not EMPTY
        if function == "_==_" or is_equal is UNKNOWN:
            return is_equal
        return UNKNOWN if EMPTY in (left, right) else not is_equal

    def _within(self, node: Any, left: Any, right: Any) -> Any:
        if right is EMPTY:
            return False
        if not isinstance(right, list) or UNKNOWN in right:
            return UNKNOWN
        if isinstance(left, Words):
            strange = [one for one in right if not left.has(str(one))]
            for one in strange:
                self._no_word(node, str(one))
            return False if len(strange) == len(right) else UNKNOWN
        return UNKNOWN if left is UNKNOWN else left in right

    def _no_word(self, node: Any, word: str) -> bool:
        names = (one for one in walk(node) if isinstance(self.told(dotted(one) or ""), Words))
        read = next(names)
        self.causes.append(StaticCause(dotted(read) or "", node, word))
        return False

    def _loop(self, loop: Any) -> Any:
        """`exists` and `all` of an empty list have their initial value."""
        is_empty = self.of(loop.iter_range) is EMPTY
        begins = _constant(loop.accu_init) if node_kind(loop.accu_init) == "const" else UNKNOWN
        return begins if is_empty and isinstance(begins, bool) else UNKNOWN


def _joined(values: list[Any], *, decisive: bool) -> Any:
    if decisive in [one for one in values if isinstance(one, bool)]:
        return decisive
    return (not decisive) if all(isinstance(one, bool) for one in values) else UNKNOWN


def _agreed(values: list[Any]) -> Any:
    return values[0] if values[0] == values[1] else UNKNOWN


def _applied(function: str, values: list[Any]) -> Any:
    """A comparison or a search; an empty value is neither before nor after another."""
    if EMPTY in values:
        return False
    if len(values) != 2 or not all(isinstance(one, str | int | float) for one in values):  # noqa: PLR2004
        return UNKNOWN
    try:
        return {**_ORDERS, **_SEARCHES}[function](*values)
    except TypeError:
        return UNKNOWN


def _size(value: Any) -> Any:
    if value is EMPTY:
        return 0
    return len(value) if isinstance(value, str) else UNKNOWN


def _constant(node: Any) -> Any:
    written = node.const
    kind = next((one for one in ("string", "bool", "int", "double") if written.HasField(one)), None)
    return UNKNOWN if kind is None else getattr(written, kind)
