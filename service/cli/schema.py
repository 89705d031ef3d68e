"""`taskbell schema`: the configuration as an editor knows it."""

import typer

from service.cli.output.console import AsJson, show_json
from service.config.json_schema import schema as describe

app = typer.Typer()


@app.command()
def schema(*, as_json: AsJson = True) -> None:
    """Print the JSON Schema of the configuration, for editors. It is always JSON."""
    del as_json
    show_json(describe())
