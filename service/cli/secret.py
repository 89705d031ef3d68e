"""`taskbell secret`: a new secret."""

import typer

from service.cli.output.console import AsJson, say
from service.settings import keys

app = typer.Typer()


@app.command()
def secret(*, as_json: AsJson = False) -> None:
    """Generate a secret for a webhook, with any `verify`, or for TASKBELL_ADMIN_TOKEN.

    Use the whole output as the secret.
    """
    made = keys.new()
    say(made, {"secret": made}, as_json=as_json)
