"""`taskbell secret`: a new secret."""

import typer

from service.cli.output.console import AsJson, say
from service.settings import keys

app = typer.Typer()


@app.command()
def secret(*, as_json: AsJson = False) -> None:
    """Generate a secret for a webhook of any kind, or for TASKBELL_ADMIN_TOKEN."""
    made = keys.new()
    say(made, {"secret": made}, as_json=as_json)
