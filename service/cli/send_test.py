"""`taskbell send-test`: sends one test message through a channel."""

import asyncio
import os
from typing import Annotated
from uuid import uuid4

import typer

from service import config
from service.channels import Message, kinds
from service.cli.output.console import AsJson, say
from service.clock import SystemClock
from service.config import Config
from service.diagnostics import did_you_mean
from service.errors import SendError, TaskbellError
from service.http import open_client
from service.settings import read_settings

app = typer.Typer()

_TEXT = "This is a test of Taskbell. If you can read this, messages arrive here."
_PATIENCE = 30.0  # seconds

Address = Annotated[
    str, typer.Argument(metavar="CHANNEL[:TARGET]", help="As in rules, such as slack:#office.")
]
Text = Annotated[str, typer.Option(metavar="TEXT", help="The text of the message.")]


class NotSent(TaskbellError):
    """The test message was not sent; the message says why, and what to do."""


@app.command("send-test")
def send_test(address: Address, text: Text = _TEXT, *, as_json: AsJson = False) -> None:
    """Send one message through a channel of the configuration, without rules, hours and outbox."""
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
    kind = kinds()[options.kind]
    if kind.needs_target and not target:
        raise NotSent(f"{name} needs a recipient; write {name}:RECIPIENT, such as slack:#office")
    async with open_client(loaded.allow) as client:
        channel = kind(options, client, SystemClock())
        try:
            async with asyncio.timeout(_PATIENCE):
                await channel.send(_message(name, target, text))
        except SendError as error:
            raise NotSent(f"{address}: it was not sent: {error}") from error
        except TimeoutError:
            raise NotSent(f"{address}: no answer in {_PATIENCE:g} s; it may have arrived") from None
        finally:
            await channel.close()


def _message(channel: str, target: str, text: str) -> Message:
    now = SystemClock().now()
    return Message(
        key=str(uuid4()),
        channel=channel,
        target=target,
        text=text,
        subject="A test of Taskbell",
        account="",
        task_id="",
        rule="send-test",
        type="test",
        at=now,
        event={"account": "", "kind": "test", "at": now},
    )
