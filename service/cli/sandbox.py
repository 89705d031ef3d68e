"""`taskbell sandbox`: the emulated systems alone, to try rules without real customers."""

import asyncio
import signal
from typing import Annotated

import typer

from service.cli.output.console import AsJson, show_fields
from service.clock import SystemClock
from service.processes.port_check import demand_free
from service.sandbox.app import Sandbox, running
from service.sandbox.office import Office
from service.sandbox.push import Subscription

app = typer.Typer()


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the systems.")] = 8090,
    smtp_port: Annotated[
        int, typer.Option(min=1, max=65535, help="The port of the mail server.")
    ] = 8025,
    push: Annotated[
        str | None,
        typer.Option(help="Send Plannr's webhooks to this URL, which ends in /hooks/{account}."),
    ] = None,
    secret: Annotated[
        str,
        typer.Option(envvar="PLANNR_SIGNING_SECRET", help="The secret that signs these webhooks."),
    ] = "signs-the-sandbox",  # noqa: S107 (an emulated system has no real secret)
    *,
    office: Annotated[
        bool, typer.Option("--office", help="Simulate people at work, as in the demo.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run emulations of the systems, Slack and a mail server on 127.0.0.1.

    The systems are Plannr, Kickserv, LetsLigo and Rolodex. HTTP requests to /_sandbox/ simulate
    changes and failures (docs/sandbox.md).
    """
    demand_free("127.0.0.1", port, "--port ")
    demand_free("127.0.0.1", smtp_port, "--smtp-port ")
    subscriptions = [Subscription(push, secret)] if push else []
    emulated = Sandbox(SystemClock(), subscriptions)
    asyncio.run(_serve(emulated, port, smtp_port, office=office, as_json=as_json))


async def _serve(
    sandbox: Sandbox, port: int, smtp_port: int, *, office: bool, as_json: bool
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with running(sandbox, port, smtp_port) as url:
        places = {name: f"{url}/{name}" for name in (*sandbox.systems, "slack", "inbox")}
        places["mail"] = f"127.0.0.1:{sandbox.inbox.smtp_port}"
        show_fields(places, as_json=as_json)
        work = asyncio.create_task(Office(sandbox, SystemClock()).run()) if office else None
        await stopping.wait()
        if work is not None:
            work.cancel()
