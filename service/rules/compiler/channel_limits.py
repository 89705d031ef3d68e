"""What a channel cannot do with a message: take so long a text, or change what it sent."""

import re
from collections.abc import Iterator

from service.diagnostics import Issue, Path, Severity
from service.rules.capabilities import ChannelCapabilities
from service.rules.compiler.shapes import NotifyShape
from service.rules.language.templates import Template

# What stands for something else, or for nothing, in a text.
_FILLED = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_UNDOING = {"update": "rewrite", "thread": "answer", "retract": "remove"}


def too_long(
    channel: str, way: ChannelCapabilities | None, text: Template | None, path: Path
) -> Iterator[Issue]:
    """A warning about a text that is too long even without what is filled in."""
    if way is None or way.longest is None or text is None:
        return
    if len(_FILLED.sub("", text.text)) > way.longest:
        message = f"{channel} takes texts of up to {way.longest} characters"
        hint = "the middle of a longer text is left out"
        yield Issue(path, message, hint, severity=Severity.WARNING)


def undo(
    channel: str, way: ChannelCapabilities | None, shape: NotifyShape, path: Path
) -> Iterator[Issue]:
    """The problem with an `on_undo` that the channel cannot do."""
    undoes = frozenset[str]() if way is None else way.undoes
    if shape.on_undo == "nothing" or shape.on_undo in undoes:
        return
    hint = f"write on_undo: {' or '.join(sorted(undoes))}" if undoes else None
    message = f"{channel} cannot {_UNDOING[shape.on_undo]} what it sent"
    yield Issue((*path, "on_undo"), message, hint)
