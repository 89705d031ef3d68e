"""What several commands of `taskbell outbox` are told."""

from typing import Annotated

import typer

Number = Annotated[
    int,
    typer.Argument(metavar="NUMBER", help="The delivery's number, as `outbox list` shows it."),
]
