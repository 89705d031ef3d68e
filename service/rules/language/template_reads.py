"""The variables that a template reads, including those read through aliases.

`{% for t in group.tasks %}{{ t.title }}{% endfor %}` reads the title of a task, and so does a name
that `assign` gives to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from liquid import RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.filtered import FilteredExpression
from liquid.builtin.expressions.logical import BooleanExpression, EqExpression, NeExpression
from liquid.builtin.expressions.loop import LoopExpression
from liquid.builtin.expressions.path import Path
from liquid.builtin.expressions.primitive import StringLiteral
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.case_tag import CaseNode
from liquid.expression import Expression
from liquid.template import BoundTemplate

Segments: TypeAlias = tuple[Any, ...]
_Aliases: TypeAlias = Mapping[str, Segments | None]
_ELEMENT = 0


@dataclass(frozen=True, slots=True)
class TextRead:
    """A value that is read: its path from a noun (a part that is not text is a list index).

    `text` is how it is written and `offset` where, in characters. `is_asked` is set if the template
    tests for it, or has a default, so that it may be missing. `words` are those it is compared
    with.
    """

    segments: Segments
    text: str
    offset: int
    is_asked: bool = False
    words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The field as rules name it: `task.assignee.email`, also for one of several tasks."""
        words = [one for one in self.segments if isinstance(one, str)]
        if words[:2] == ["group", "tasks"]:
            words = ["task", *words[2:]]
        return ".".join(words)


def template_reads(template: BoundTemplate) -> tuple[TextRead, ...]:
    """All reads of the template, in its order."""
    context = RenderContext(template)
    aliases: dict[str, Segments | None] = {}
    return tuple(one for node in template.nodes for one in _in_node(node, aliases, context))


def _in_node(
    node: Node, aliases: dict[str, Segments | None], context: RenderContext
) -> Iterator[TextRead]:
    inside = aliases
    words = _words_of(node, context)
    for expression in node.expressions():
        yield from _in_expression(expression, aliases, words, is_asked=isinstance(node, CaseNode))
        if isinstance(expression, LoopExpression):
            around = _resolved(expression.iterable, aliases)
            element = None if around is None else (*around, _ELEMENT)
            unknown = dict.fromkeys(map(str, node.block_scope()), None)
            inside = {**aliases, **unknown, str(expression.identifier): element}
    if isinstance(node, AssignNode):
        aliases[str(node.name)] = _assigned(node, aliases)
    else:
        aliases.update(dict.fromkeys(map(str, node.template_scope()), None))
    for child in node.children(context, include_partials=False):
        yield from _in_node(child, inside, context)


def _in_expression(
    expression: Expression,
    aliases: _Aliases,
    words: tuple[str, ...],
    *,
    is_asked: bool,
) -> Iterator[TextRead]:
    if isinstance(expression, Path):
        segments = _resolved(expression, aliases)
        if segments is not None:
            offset = expression.token.start_index
            yield TextRead(segments, _written(expression), offset, is_asked, words)
    if isinstance(expression, EqExpression | NeExpression):
        words = tuple(
            str(one.value) for one in expression.children() if isinstance(one, StringLiteral)
        )
    is_asked = is_asked or isinstance(expression, BooleanExpression) or _has_default(expression)
    for child in expression.children():
        yield from _in_expression(child, aliases, words, is_asked=is_asked)


def _written(path: Path) -> str:
    """A path as a person writes it; computed indexes are left open."""
    first, *rest = ("…" if isinstance(one, Path) else one for one in path.path)
    behind = (f".{one}" if isinstance(one, str) and one != "…" else f"[{one}]" for one in rest)
    return f"{first}{''.join(behind)}"


def _words_of(node: Node, context: RenderContext) -> tuple[str, ...]:
    """The words after the `when` of a `case`."""
    if not isinstance(node, CaseNode):
        return ()
    cases = node.children(context, include_partials=False)
    found = (one for case in cases for any_of in case.expressions() for one in any_of.children())
    return tuple(str(one.value) for one in found if isinstance(one, StringLiteral))


def _has_default(expression: Expression) -> bool:
    filters = expression.filters if isinstance(expression, FilteredExpression) else None
    return any(one.name == "default" for one in filters or ())


def _assigned(node: AssignNode, aliases: _Aliases) -> Segments | None:
    """The value of an assigned name; None if it is not simply an alias."""
    expression = node.expression
    if not isinstance(expression, FilteredExpression) or expression.filters:
        return None
    return _resolved(expression.left, aliases)


def _resolved(expression: Any, aliases: _Aliases) -> Segments | None:
    """The path from a noun that a path stands for; None if that is not known."""
    if not isinstance(expression, Path):
        return None
    first, *rest = expression.path
    around = aliases.get(first, (first,)) if isinstance(first, str) else None
    if around is None:
        return None
    names = [_ELEMENT if isinstance(one, Path) else one for one in rest]
    return (*around, *names)
