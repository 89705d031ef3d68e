"""Output of commands: tables for people, JSON for scripts.

No printed text can act on the terminal.
"""

import getpass
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Annotated, Any

import orjson
import typer
from pydantic_core import PydanticCustomError
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from service.domain.actors import Actor, Role
from service.domain.durations import parse_length
from service.domain.model import JSON_OPTIONS
from service.telemetry.visible import visible


class _Plain(Console):
    """A console that interprets only its own colours and movements as commands."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))

    def render_str(self, text: str, **how: Any) -> Text:
        # Rich leaves out what it knows to act, which is not seen then.
        return super().render_str(visible(text), **how)


# Width and colour follow the terminal; NO_COLOR is respected by rich itself.
out = _Plain(highlight=False, emoji=False)
err = _Plain(stderr=True, highlight=False, emoji=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_line(text: str) -> None:
    """Print a line unchanged: without markup, and without line breaks by width."""
    out.print(text, markup=False, soft_wrap=True)


def say(sentence: str, value: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the result of an action: a sentence, or the same as JSON."""
    if as_json:
        show_json(dict(value))
    else:
        print_line(sentence)


def show_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], if_none: str, *, as_json: bool
) -> None:
    """Print rows as a table of these columns, or whole as JSON; `if_none` if there are none."""
    if as_json:
        show_json(list(rows))
        return
    if not rows:
        print_line(if_none)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_time = column.endswith("_at")
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=is_time)
    for row in rows:
        table.add_row(*(Text(_cell(row[column], "%d %b %H:%M:%S %Z")) for column in columns))
    out.print(table)


def show_fields(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one object, a field per line, or as JSON."""
    if as_json:
        show_json(dict(row))
        return
    width = max(map(len, row))
    for name, value in row.items():
        if value is not None:
            text = f"{name.replace('_', ' '):<{width}}  {_cell(value, '%Y-%m-%d %H:%M:%S %Z')}"
            print_line(text)


def show_json(value: Any) -> None:
    """Print JSON, indented, and nothing else."""
    _print_json(value, orjson.OPT_INDENT_2)


def print_json_line(value: Any) -> None:
    """Print JSON on one line, of several."""
    _print_json(value)


def tell_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an unhandled error as Python does, for `sys.excepthook`."""
    sys.stderr.write(visible("".join(traceback.format_exception(kind, error, trace))))


def _print_json(value: Any, options: int = 0) -> None:
    text = orjson.dumps(value, option=JSON_OPTIONS | options, default=str)
    typer.echo(visible(text.decode()))


def _cell(value: Any, time_format: str) -> str:
    """A value as text; times in this machine's zone."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime(time_format)
    return visible(str(value))


def _moment(value: str) -> datetime:
    """A time, written as one or as a duration before now."""
    try:
        return datetime.now(UTC) - parse_length(value)
    except PydanticCustomError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter("write for example 30d, 12h or 2026-03-06T16:30") from None
    return moment.astimezone(UTC)


Since = Annotated[
    datetime,
    typer.Option(
        "--since", parser=_moment, metavar="TIME", help="Start of the period: 30d, or a date."
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", parser=_moment, metavar="TIME", help="End of the period, likewise."),
]
A_MONTH: Any = "30d"
A_DAY: Any = "1d"


def who() -> Actor:
    """The user at the command line, as far as the machine knows; stored with their actions."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # in a container, users need not have names
        name = "someone"
    return Actor(f"{name} at the command line", Role.ADMIN)
