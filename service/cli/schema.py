"""`taskbell schema`: the JSON Schema of the configuration, for editors."""

from typing import Annotated

import typer

from service.cli.output.console import show_json
from service.config.json_schema import schema as describe

app = typer.Typer()


@app.command()
def schema(
    *,
    # Accepted because every command has it.
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = True,
) -> None:
    """Print the JSON Schema of the configuration, for editors. The output is always JSON."""
    del as_json
    show_json(describe())
