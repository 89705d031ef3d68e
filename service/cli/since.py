"""`--since 30d`: how far back a command looks."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic_core import PydanticCustomError

from service.domain.durations import parse_length


def _moment(value: str) -> datetime:
    """A moment, written as one or as a length of time before now."""
    try:
        return datetime.now(UTC) - parse_length(value)
    except PydanticCustomError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter("write it like 30d, 12h or 2026-03-06T16:30") from None
    return moment.astimezone(UTC)


Since = Annotated[
    datetime,
    typer.Option("--since", parser=_moment, metavar="TIME", help="From when on: 30d, or a date."),
]
A_MONTH: Any = "30d"
A_DAY: Any = "1d"
