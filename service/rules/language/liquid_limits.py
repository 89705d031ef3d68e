"""Liquid with limits: the allowed tags, and limits for loops, work and output size.

The library's search for the end of a tag takes quadratic time in the rest of the text, it makes
lists of ranges of any length, and lets filters do any amount of work. All three are limited here,
so that no template takes longer than a moment.
"""

import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from liquid import Environment, Mode, RenderContext, Token
from liquid.ast import Node
from liquid.builtin.expressions.loop import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import FilterArgumentError, ResourceLimitError
from liquid.expression import Expression
from liquid.template import BoundTemplate

LONGEST_SOURCE = 10_000
_LONGEST = 40_000
_LONGEST_PART = 500
_LARGEST = 10**18
_MOST_WORK = 2_000_000  # characters and elements that filters are given in one rendering
_CALL = 50  # what a filter costs that is given nothing
# These would read the machine's clock, mark text as safe for HTML, or load other files.
_NO_FILTERS = ("date", "safe", "escapejs")
_NO_TAGS = ("include", "render", "increment", "decrement", "ifchanged")
_MULTIPLYING = frozenset({"replace", "join"})
_GAP = re.compile(r"\s{100}")
_ENDS = {"{{": "}}", "{%": "%}"}
_BEGINNING = re.compile(r"\{[{%]")


class _Context(RenderContext):
    """One rendering, which counts the work of its filters."""

    work = 0

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        function = super().filter(name, token)

        def counted(value: Any, *arguments: Any, **options: Any) -> object:
            self.work += _CALL + _size(value)
            if self.work > _MOST_WORK:
                raise ResourceLimitError("the filters have too much to do", token=token)
            return function(value, *arguments, **options)

        return counted


class _Bound(BoundTemplate):
    context_class = _Context


class _Language(Environment):
    """Liquid with its limits."""

    template_class = _Bound
    loop_iteration_limit = 1_000
    output_stream_limit = _LONGEST
    local_namespace_limit = 100_000
    context_depth_limit = 10


def language() -> Environment:
    """Liquid without the features that rules must not use, and with every filter limited."""
    made = _Language(tolerance=Mode.STRICT)
    for name in _NO_FILTERS:
        del made.filters[name]
    for name in _NO_TAGS:
        del made.tags[name]
    return made


def bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter with a limit for the size of its result."""

    @wraps(function)
    def guarded(value: Any, *arguments: Any, **options: Any) -> Any:
        if name in _MULTIPLYING and any(len(str(one)) > _LONGEST_PART for one in arguments):
            raise FilterArgumentError(f"{name}: the text put in is too long", token=None)
        result = function(value, *arguments, **options)
        if _is_huge(result):
            raise FilterArgumentError(f"{name}: the result is too long", token=None)
        return result

    return guarded


def unreadable(text: str) -> tuple[str, int] | None:
    """Parts of a text that must not even be parsed, with their places."""
    if len(text) > LONGEST_SOURCE:
        return f"the text is longer than {LONGEST_SOURCE} characters", 0
    position = 0
    while found := _BEGINNING.search(text, position):
        end = _ENDS[found[0]]
        closed = text.find(end, found.end())
        if closed < 0:
            return f"{found[0]} is not closed by {end}", found.start()
        if gap := _GAP.search(text, found.start(), closed):
            return "there are more than 100 spaces in a row here", gap.start()
        position = closed + len(end)
    return None


def loose_ranges(template: BoundTemplate) -> Iterator[Expression]:
    """Ranges such as (1..9) outside loops: they would be lists of any length."""
    context = RenderContext(template)
    for node in template.nodes:
        yield from _loose_in_node(node, context)


def _loose_in_node(node: Node, context: RenderContext) -> Iterator[Expression]:
    for expression in node.expressions():
        yield from _loose_in(expression)
    for child in node.children(context, include_partials=False):
        yield from _loose_in_node(child, context)


def _loose_in(expression: Expression) -> Iterator[Expression]:
    if isinstance(expression, RangeLiteral):
        yield expression
    for child in expression.children():
        is_looped = isinstance(expression, LoopExpression) and child is expression.iterable
        if not (is_looped and isinstance(child, RangeLiteral)):
            yield from _loose_in(child)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(_CALL + len(one) if isinstance(one, str) else _CALL for one in value)
    return 0


def _is_huge(value: Any) -> bool:
    if isinstance(value, str | list):
        return len(value) > _LONGEST
    return isinstance(value, int) and abs(value) > _LARGEST
