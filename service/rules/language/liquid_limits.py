"""Liquid with limits: the allowed tags, and limits for loops, work and output size.

The library's search for the end of a tag takes quadratic time in the rest of the text, it makes
lists of ranges of any length, and lets filters do any amount of work. All three are limited here,
so that no template takes longer than a moment.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, NamedTuple, TextIO

from liquid import Environment, Mode, RenderContext, Token
from liquid.ast import Node
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions.loop import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import FilterArgumentError, ResourceLimitError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.template import BoundTemplate

from service.document.writing_direction import contained

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


class RenderedText(NamedTuple):
    """A text; `markup` are the parts of it that its template has written, and no value.

    It has the start and the end of each part, in characters, one after the other.
    """

    text: str = ""
    markup: tuple[int, ...] = ()


class _Output(LimitedStringIO):
    """What a template comes to, and which parts of it are the template's own words.

    Decoding can produce a NUL, which PostgreSQL cannot store: it is left out. A value has no effect
    on the direction of the words after it.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.markup: list[int] = []

    def write(self, text: str, /) -> int:
        return super().write(contained(text.replace("\0", "")))

    def write_content(self, text: str) -> int:
        start = self.tell()
        written = super().write(text.replace("\0", ""))
        self.markup += (start, self.tell())
        return written


class _Content(ContentNode):
    """Words of the template itself. What they are put into with `capture` is a value."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        if isinstance(buffer, _Output):
            return buffer.write_content(self.text)
        return super().render_to_output(context, buffer)


class _ContentTag(Literal):
    node_class = _Content


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
    made.add_tag(_ContentTag)
    for name in _NO_FILTERS:
        del made.filters[name]
    for name in _NO_TAGS:
        del made.tags[name]
    return made


def rendered(template: BoundTemplate, values: Mapping[str, Any]) -> RenderedText:
    """The template with these values; raises LiquidError."""
    output = _Output(_LONGEST)
    given = template.make_globals(dict(values))
    template.render_with_context(template.context_class(template, globals=given), output)
    return RenderedText(output.getvalue(), tuple(output.markup))


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
