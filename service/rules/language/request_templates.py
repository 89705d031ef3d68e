"""Liquid for the requests of webhooks: a value never becomes part of the syntax.

Anyone may have named a task. So each value is put in between two marks, as JSON, and is escaped by
the place where it stands when the whole text is there: within quotes as part of a text, outside of
them as a value of its own, in an address by percent signs. A name with a quotation mark neither
breaks the JSON nor adds a key to it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import quote

import orjson
from liquid import RenderContext
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import LiquidError
from liquid.template import BoundTemplate

from service.diagnostics import did_you_mean, refused
from service.domain.model import Task
from service.rules.language.liquid_limits import bounded, language, loose_ranges, unreadable
from service.rules.language.template_reads import template_reads
from service.rules.language.templates import RenderError
from service.rules.language.vocabulary import unknown_name

NAMES = frozenset(
    {"text", "subject", "target", "key", "type", "timestamp", "rule", "channel", "account"}
    | {"event", "task", "before"}
)
_BEGIN, _END = "\x01", "\x02"
_VALUE = re.compile(f"{_BEGIN}([^{_END}]*){_END}")
# In a text of JSON: a value, an escaped character, a quotation mark, and anything else.
_PIECE = re.compile(rf'{_VALUE.pattern}|\\.|"|[^{_BEGIN}\\"]+|\\', re.DOTALL)
# Whatever else shows a value, or keeps one that was shown.
_NO_TAGS = ("echo", "liquid", "cycle", "capture", "tablerow")
_UNFIT = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
_FIELDS = frozenset({"task", "before"})


class _MarkedNode(OutputNode):
    """`{{ … }}`, whose value stands between marks, as JSON."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = orjson.dumps(self.expression.evaluate(context), default=_plain).decode()
        return buffer.write(f"{_BEGIN}{value}{_END}")


class _MarkedOutput(Output):
    node_class = _MarkedNode


def _plain(value: Any) -> Any:
    """What Liquid has beside JSON: nothing at all, which is null, and numbers of its own."""
    return str(value) or None


def _language() -> Any:
    made = language()
    for name in _NO_TAGS:
        del made.tags[name]
    made.add_tag(_MarkedOutput)
    for name, function in list(made.filters.items()):
        made.filters[name] = bounded(name, function)
    return made


_LIQUID = _language()


class RequestTemplate:
    """A valid template; raises ValueError with what is wrong with `text`, which `what` names."""

    def __init__(self, text: str, what: str) -> None:
        if refusal := unreadable(text):
            raise refused(f"{what}: {refusal[0]}")
        try:
            self._parsed: BoundTemplate = _LIQUID.from_string(_unmarked(text))
        except LiquidError as error:
            raise refused(f"{what} cannot be read: {error.message}") from None
        if loose := next(loose_ranges(self._parsed), None):
            raise refused(f"{what}: a range such as {loose} can only be used in a loop")
        self._demand_names(what)
        self._what = what

    def _demand_names(self, what: str) -> None:
        # Without a place: what stands there may hold a secret, and is not shown.
        analysis = self._parsed.analyze()
        for name in analysis.filters:
            if name not in _LIQUID.filters:
                hint = did_you_mean(name, _LIQUID.filters)
                raise refused(f"{what}: there is no filter {name}", hint)
        for name in analysis.globals:
            if name not in NAMES:
                raise refused(f"{what}: there is no {name}", did_you_mean(name, NAMES))
        for read in template_reads(self._parsed):
            unknown, known = unknown_name(read.segments)
            if read.segments[0] in _FIELDS and unknown:
                hint = did_you_mean(unknown, known)
                raise refused(f"{what}: a task has no {unknown}", hint)

    def json(self, values: Mapping[str, Any]) -> bytes:
        """The text as JSON; raises RenderError if it is not valid JSON."""
        made = "".join(_json_pieces(self._rendered(values)))
        try:
            orjson.loads(made)
        except orjson.JSONDecodeError as error:
            place = f"line {error.lineno} column {error.colno}"
            raise RenderError(f"{self._what} is not JSON when it is filled in ({place})") from None
        return made.encode()

    def address(self, values: Mapping[str, Any]) -> str:
        """The text as an address, whose values cannot lead elsewhere; raises RenderError."""
        return _VALUE.sub(lambda one: _in_address(_text(one[1])), self._rendered(values))

    def plain(self, values: Mapping[str, Any]) -> str:
        """The text with its values as they are."""
        return _VALUE.sub(lambda one: _text(one[1]), self._rendered(values))

    def _rendered(self, values: Mapping[str, Any]) -> str:
        try:
            return self._parsed.render(values)
        except LiquidError as error:
            raise RenderError(f"{self._what}: {error.message}") from None
        except _UNFIT:
            raise RenderError(f"{self._what} cannot take the values of this message") from None


def samples() -> Iterator[dict[str, Any]]:
    """Values to try a template with: those of a message about a task, and of one about none."""
    given: dict[str, Any] = dict.fromkeys(NAMES, "x")
    task = orjson.loads(Task("T1", "account", "system", "Title").to_json())
    yield {**given, "event": {"id": 1, "kind": "completed"}, "task": task, "before": task}
    yield {**given, "subject": None, "task": None, "before": None, "event": {"kind": "failing"}}


def _json_pieces(marked: str) -> Iterator[str]:
    is_quoted = False
    for piece in _PIECE.finditer(marked):
        if piece[1] is None:
            is_quoted ^= piece[0] == '"'
            yield piece[0]
        elif is_quoted:
            yield orjson.dumps(_text(piece[1])).decode()[1:-1]
        else:
            yield piece[1]


def _text(value: str) -> str:
    """A value as a text, without what PostgreSQL and terminals do not take."""
    found = orjson.loads(value)
    if found is None:
        return ""
    return found if isinstance(found, str) else value


def _in_address(value: str) -> str:
    """A part of an address."""
    if value and not value.strip("."):
        raise RenderError("url: a value that is only dots would lead elsewhere")
    return quote(value, safe="")


def _unmarked(text: str) -> str:
    return text.replace(_BEGIN, "").replace(_END, "")
