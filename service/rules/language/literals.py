"""Static check of duration, timestamp and regex literals.

CEL parses durations, dates and patterns only when it evaluates them, and reports nothing before.
Its patterns are RE2's, which take linear time in the text, multiplied by the size of the pattern.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import orjson
from cel_expr_python import cel

from service.rules.language.syntax_tree import Tree, children, dotted, node_kind, walk

DEEPEST_LOOP = 2
_LARGEST_PATTERN = 1_000  # characters, counting what is repeated as often as it is
_COUNT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_WRITTEN = {
    "duration": ("{} is not a duration", 'write for example duration("24h")'),
    "timestamp": ("{} is not a date", 'write for example timestamp("2026-05-01T00:00:00Z")'),
}


@dataclass(frozen=True, slots=True)
class LiteralError:
    """The error, a suggestion, and the offset in characters."""

    message: str
    hint: str | None
    offset: int


def flaws(tree: Tree, environment: cel.Env) -> Iterator[LiteralError]:
    """All literals that are always invalid."""
    yield from _deep_loops(tree, tree.root, 0)
    for node in walk(tree.root):
        if node_kind(node) != "call" or not node.call.args:
            continue
        place, text = tree.offset(node), _text(node.call.args[-1])
        match node.call.function:
            case "matches":
                yield from _pattern(text, place, environment)
            case "duration" | "timestamp" as name if text is not None:
                yield from _written(name, text, place, environment)
            case "_==_" | "_!=_" as operator:
                yield from _null(node, operator, place)


def _deep_loops(tree: Tree, node: Any, depth: int) -> Iterator[LiteralError]:
    depth += node_kind(node) == "comprehension"
    if depth > DEEPEST_LOOP:
        message = f"loops over lists are nested more than {DEEPEST_LOOP} deep"
        yield LiteralError(message, None, tree.offset(node))
        return
    for child in children(node):
        yield from _deep_loops(tree, child, depth)


def _pattern(text: str | None, place: int, environment: cel.Env) -> Iterator[LiteralError]:
    if text is None:
        yield LiteralError("a pattern must be written as text", 'write matches("…")', place)
    elif _weight(text) > _LARGEST_PATTERN:
        yield LiteralError("the pattern is too large", "repeat less in it, or less often", place)
    elif _fails(f'"".matches({_quoted(text)})', environment):
        hint = "its syntax is RE2's: https://github.com/google/re2/wiki/Syntax"
        yield LiteralError(f"the pattern {_quoted(text)} cannot be read", hint, place)


def _weight(pattern: str) -> int:
    """An upper bound for the size of a pattern with its counted repetitions."""
    counts = (max(int(low), int(high or 0)) for low, high in _COUNT.findall(pattern))
    return len(pattern) * prod(max(count, 1) for count in counts)


def _written(name: str, text: str, place: int, environment: cel.Env) -> Iterator[LiteralError]:
    if _fails(f"{name}({_quoted(text)})", environment):
        message, hint = _WRITTEN[name]
        yield LiteralError(message.format(_quoted(text)), hint, place)


def _null(node: Any, operator: str, place: int) -> Iterator[LiteralError]:
    """A comparison with null: a noun such as the assignee is compared as empty, never as null."""
    if not any(node_kind(one) == "const" and one.const.HasField("null") for one in node.call.args):
        return
    name = next((name for one in node.call.args if (name := dotted(one))), "it")
    word = "!has" if operator == "_==_" else "has"
    yield LiteralError(f"{name} is never null", f"write {word}({name})", place)


def _text(node: Any) -> str | None:
    is_text = node_kind(node) == "const" and node.const.HasField("string")
    return str(node.const.string) if is_text else None


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _fails(expression: str, environment: cel.Env) -> bool:
    result = environment.compile(expression).eval(environment.Activation({}))
    return bool(result.type() == cel.Type.ERROR)
