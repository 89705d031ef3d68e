"""`taskbell secret`: a new secret."""

import typer

from service.cli.output.console import AsJson, say
from service.settings import keys

app = typer.Typer()


@app.command()
def secret(*, as_json: AsJson = False) -> None:
    """Print a new secret, good for webhooks of every kind and for TASKBELL_ADMIN_TOKEN."""
    made = keys.new()
    say(made, {"secret": made}, as_json=as_json)
