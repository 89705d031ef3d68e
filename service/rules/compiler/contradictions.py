"""Static check for contradictory conditions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from service.diagnostics import did_you_mean
from service.domain.model import Cause, Kind
from service.rules.compiler.shapes import PRIORITIES
from service.rules.language.expressions import Expression, syntax
from service.rules.language.syntax_tree import dotted, node_kind
from service.rules.triggers import Trigger

Value: TypeAlias = str | bool | int | float
Values: TypeAlias = Mapping[str, frozenset[str]]

# The values that these can have at all.
KNOWN_VALUES: Values = {
    "task.priority": frozenset(PRIORITIES),
    "before.priority": frozenset(PRIORITIES),
    "event.kind": frozenset(Kind),
    "event.cause": frozenset(Cause),
}
_HAS = "has({})"
_OPEN = frozenset({Kind.REOPENED})
_DONE = frozenset({Kind.COMPLETED})
_SEEN = frozenset({Kind.ACKNOWLEDGED})


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why a rule never matches, in which of its conditions, and at which offset."""

    message: str
    condition: int
    offset: int
    hint: str | None = None


@dataclass(slots=True)
class _Facts:
    """What must be true; `sources` say why, where it does not follow from a condition."""

    equal: dict[str, Value] = field(default_factory=dict)
    unequal: set[tuple[str, Value]] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: Value, *, holds: bool) -> str | None:
        """Add that it is, or is not, that value; returns the contradiction, as text."""
        known = self.equal.get(name)
        if not holds:
            self.unequal.add((name, value))
            return (
                None
                if known != value
                else f"{name} cannot both be {_shown(value)} and not be {_shown(value)}"
            )
        if (name, value) in self.unequal:
            return f"{name} cannot both be {_shown(value)} and not be {_shown(value)}"
        if known is not None and known != value:
            source = self.sources.get(name)
            if source is not None:
                return f"{source} {name} is {_shown(known)}"
            return f"{name} cannot be {_shown(known)} and {_shown(value)} at the same time"
        self.equal[name] = value
        return None


def never(
    conditions: Iterable[Expression], trigger: Trigger, values: Values = KNOWN_VALUES
) -> Contradiction | None:
    """Why these conditions are never true together when the trigger fires; None if they may be.

    `values`: the possible values of some names.
    """
    facts = _sure(trigger)
    for position, condition in enumerate(conditions):
        for name, value, holds, offset in _said(condition.text):
            against, hint = facts.add(name, value, holds=holds), None
            if holds and name in values and value not in values[name]:
                against = f"{name} is never {_shown(value)}"
                hint = did_you_mean(str(value), values[name])
            if against is not None:
                return Contradiction(against, position, offset, hint)
    return None


def demands(conditions: Iterable[Expression]) -> Mapping[str, Value]:
    """The values that names must have if all of these conditions are true."""
    said = (claim for condition in conditions for claim in _said(condition.text))
    return {name: value for name, value, holds, _ in said if holds}


def _sure(trigger: Trigger) -> _Facts:
    facts = _Facts()
    source = "with this trigger"
    if trigger.alarm is not None or trigger.kinds == _OPEN:
        facts.equal["task.done"] = False
        facts.equal |= {"task.archived": False} if trigger.alarm is not None else {}
    elif trigger.kinds == _DONE:
        facts.equal["task.done"] = True
    elif trigger.kinds == _SEEN:
        facts.equal["task.acknowledged"] = True
    if trigger.kinds:
        facts.equal |= {_HAS.format(name): True for name in trigger.guarantees}
    facts.sources = dict.fromkeys(facts.equal, source)
    return facts


@lru_cache(maxsize=10_000)
def _said(text: str) -> tuple[tuple[str, Value, bool, int], ...]:
    """What a condition requires, and at which offset; cached, as rules are compared pairwise."""
    tree = syntax(text)
    return tuple(
        (*claim, tree.offset(node))
        for node, truth in _conjuncts(tree.root, truth=True)
        for claim in _claims(node, truth=truth)
    )


def _conjuncts(node: Any, *, truth: bool) -> Iterator[tuple[Any, bool]]:
    """The parts that must all be true, or must all be false."""
    function = node.call.function if node_kind(node) == "call" else None
    if function == "!_":
        yield from _conjuncts(node.call.args[0], truth=not truth)
    elif function == ("_&&_" if truth else "_||_"):
        for one in node.call.args:
            yield from _conjuncts(one, truth=truth)
    else:
        yield node, truth


def _claims(node: Any, *, truth: bool) -> Iterator[tuple[str, Value, bool]]:
    """What a part requires of a name: its value, and whether it is required or excluded."""
    read = dotted(node)
    if node_kind(node) == "select" and node.select.test_only:
        yield _HAS.format(read), truth, True
    elif read is not None:
        yield read, truth, True
    elif node_kind(node) == "call" and node.call.function in {"_==_", "_!=_"}:
        names = [found for one in node.call.args if (found := dotted(one))]
        constants = [one for one in map(_constant, node.call.args) if one is not None]
        if len(names) == len(constants) == 1:
            yield names[0], constants[0], (node.call.function == "_==_") is truth


def _constant(node: Any) -> Value | None:
    if node_kind(node) != "const":
        return None
    written = node.const
    kind = next((one for one in ("string", "bool", "int", "double") if written.HasField(one)), None)
    return None if kind is None else getattr(written, kind)


def _shown(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
