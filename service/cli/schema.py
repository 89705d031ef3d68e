"""`taskbell schema`: the JSON Schema of the configuration, for editors."""

import typer

from service.cli.output.console import AsJson, show_json
from service.config.json_schema import schema as describe

app = typer.Typer()


@app.command()
def schema(*, as_json: AsJson = True) -> None:
    """Print the JSON Schema of the configuration, for editors. The output is always JSON."""
    del as_json
    show_json(describe())
