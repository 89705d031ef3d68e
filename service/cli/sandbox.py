"""`taskbell sandbox`: the emulated systems by themselves, to try rules without a customer."""

import asyncio
import signal
from typing import Annotated

import typer

from service.cli.console import out
from service.clock import SystemClock
from service.sandbox.app import Sandbox, running
from service.sandbox.office import Office
from service.sandbox.push import Subscription

app = typer.Typer()


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Where the systems answer.")] = 8090,
    smtp_port: Annotated[int, typer.Option(help="Where the inbox takes mail.")] = 8025,
    push: Annotated[
        str | None, typer.Option(help="Where Plannr's webhooks go: URL of /hooks/{account}.")
    ] = None,
    secret: Annotated[
        str, typer.Option(envvar="PLANNR_SIGNING_SECRET", help="What signs them.")
    ] = "sandbox",  # noqa: S107 (an emulated system has no real secret)
    *,
    office: Annotated[bool, typer.Option(help="Have simulated work go on.")] = False,
) -> None:
    """Emulate the systems, Slack and an inbox on 127.0.0.1; script them under /_sandbox/."""
    subscriptions = [Subscription(push, secret)] if push else []
    asyncio.run(_serve(Sandbox(SystemClock(), subscriptions), port, smtp_port, office=office))


async def _serve(sandbox: Sandbox, port: int, smtp_port: int, *, office: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with running(sandbox, port, smtp_port) as url:
        for name in (*sandbox.systems, "slack", "inbox"):
            out.print(f"{url}/{name}")
        out.print(f"mail: 127.0.0.1:{sandbox.inbox.smtp_port}   (Ctrl-C stops it)")
        work = asyncio.create_task(Office(sandbox, SystemClock()).run()) if office else None
        await stopping.wait()
        if work is not None:
            work.cancel()
