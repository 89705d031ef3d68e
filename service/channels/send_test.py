"""One message by a channel, to see that it arrives: without rules, hours and outbox."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from service.channels import ChannelOptions, Message, kinds
from service.clock import Clock
from service.errors import SendError, TaskbellError
from service.http import Network

TEXT = "This is a test of Taskbell. If you can read this, messages arrive here."
_PATIENCE = 30.0  # seconds


class NotSent(TaskbellError):
    """The test message was not sent; the message says why, and what to do."""


async def send_test(
    options: ChannelOptions,
    target: str,
    clock: Clock,
    allow: Sequence[Network] = (),
    *,
    text: str = TEXT,
) -> None:
    """Send `text` to a target of the channel with these options; raises NotSent.

    `allow` are the private networks that may be called.
    """
    # Commands that read a configuration look for channels in all modules here, and call nothing.
    from service.http.client import open_client  # noqa: PLC0415 (see above)

    name, kind = options.name, kinds()[options.kind]
    if kind.needs_target and not target:
        raise NotSent(f"{name} needs a target; write {name}:TARGET, such as slack:#office")
    address = f"{name}:{target}" if target else name
    async with open_client(allow) as client:
        channel = kind(options, client, clock)
        try:
            async with asyncio.timeout(_PATIENCE):
                await channel.send(_message(name, target, text, clock.now()))
        except SendError as error:
            raise NotSent(f"{address}: it was not sent: {error}") from error
        except TimeoutError:
            raise NotSent(f"{address}: no answer in {_PATIENCE:g} s; it may have arrived") from None
        finally:
            await channel.close()


def _message(channel: str, target: str, text: str, now: datetime) -> Message:
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
