"""`taskbell plan`: the effects of a configuration, before it is loaded."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from service import config
from service.change_plan.database import foresee
from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.output import change_plan
from service.cli.output.console import AsJson, out, print_line, show_json
from service.cli.output.counting import counting
from service.cli.output.overrides import lines_of
from service.clock import SystemClock
from service.settings import read_settings

app = typer.Typer()

File = Annotated[
    Path | None,
    typer.Argument(
        exists=True, show_default="TASKBELL_CONFIG", help="A YAML file or a folder of them."
    ),
]


@app.command()
def plan(file: File = None, *, as_json: AsJson = False) -> None:
    """Compare a configuration with the one in use: rules, alarms, messages. Changes nothing."""
    path = file or find(read_settings()).taskbell_config
    sketch = config.sketch(path, os.environ)
    found = with_pool(lambda pool: foresee(pool, sketch, SystemClock().now(), counting))
    if as_json:
        show_json(found)
        return
    for line in lines_of(found.overrides, sketch.on_trial.ids):
        print_line(line)
    if found.is_nothing:
        out.print(f"{escape(str(path))} changes nothing", soft_wrap=True)
        return
    *told, counts = change_plan.lines(found)
    for line in told:
        out.print(line, soft_wrap=True)
    out.print(
        f"{escape(str(path))}: {counts}. This is only a preview; nothing was changed.",
        soft_wrap=True,
    )
