"""`taskbell send-test`: sends one test message through a channel."""

import asyncio
import os
from typing import Annotated

import typer

from service import config
from service.channels import send_test as one_message
from service.channels.send_test import NotSent
from service.cli.output.console import AsJson, say
from service.clock import SystemClock
from service.config import Config
from service.diagnostics import did_you_mean
from service.settings import read_settings

app = typer.Typer()

Address = Annotated[
    str,
    typer.Argument(
        metavar="CHANNEL[:TARGET]",
        help="The recipient, written as in rules, such as slack:#office.",
    ),
]
Text = Annotated[str, typer.Option(metavar="TEXT", help="The text of the message.")]


@app.command("send-test")
def send_test(address: Address, text: Text = one_message.TEXT, *, as_json: AsJson = False) -> None:
    """Send one real test message through a channel of the configuration.

    It does not go through rules, opening hours or the outbox.
    """
    settings = read_settings()
    loaded = config.load(settings.taskbell_config, os.environ)
    asyncio.run(_send(loaded, address, text))
    say(f"sent to {address}", {"sent": True, "to": address}, as_json=as_json)


async def _send(loaded: Config, address: str, text: str) -> None:
    name, _, target = address.partition(":")
    options = loaded.channels.get(name)
    if options is None:
        hint = did_you_mean(name, loaded.channels) or "the configuration has no channels"
        raise NotSent(f"there is no channel {name}; {hint}")
    await one_message.send_test(options, target, SystemClock(), loaded.allow, text=text)
