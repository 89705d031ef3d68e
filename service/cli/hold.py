"""`taskbell hold`: lets all messages to customers wait for a while, with a reason."""

from datetime import datetime
from typing import Annotated, Any

import typer

from service.cli.database import with_pool
from service.cli.output.console import AsJson, print_line, say, show_json, show_rows, who
from service.cli.silence import Until, end_of, reason_of
from service.clock import SystemClock
from service.domain.operators.holds import Hold
from service.outbox import holds
from service.store import Pool

app = typer.Typer(
    help="Hold all messages to customers for a while, with a reason.", no_args_is_help=True
)

_CLOCK = SystemClock()
_COLUMNS = ("id", "ends_at", "held", "reason", "created_by")
_NONE = "no customer messages are on hold"

Reason = Annotated[str, typer.Option(help="The reason. It is shown with every message that waits.")]
Number = Annotated[
    int | None,
    typer.Argument(metavar="NUMBER", help="Only this hold, as `hold status` shows it."),
]


@app.command()
def on(until: Until, reason: Reason, *, as_json: AsJson = False) -> None:
    """Hold all messages to customers until the given time. They are sent after that.

    Each is checked again then, and is sent only if it still applies. Messages to colleagues and
    changes written to a system are not held.
    """
    now = _CLOCK.now()
    hold = Hold(0, now, end_of(until, now), reason_of(reason), who().name)
    number = with_pool(lambda pool: holds.begin(pool, hold, by=who()))
    says = f"Customer messages are on hold until {_local(hold.ends_at)} (hold {number})"
    say(says, {"id": number, "ends_at": hold.ends_at}, as_json=as_json)


@app.command()
def off(number: Number = None, *, as_json: AsJson = False) -> None:
    """Release the held customer messages now. Each is checked again, and sent if it applies."""

    async def work(pool: Pool) -> list[dict[str, Any]]:
        now = _CLOCK.now()
        found = [one for one in await holds.read(pool, now) if number in {None, one["id"]}]
        for one in found or ([] if number is None else [{"id": number}]):
            await holds.release(pool, one["id"], by=who(), now=now)
        return found

    released = with_pool(work)
    if as_json:
        show_json([{"id": one["id"], "messages": one["held"]} for one in released])
        return
    for one in released:
        messages = "1 message" if one["held"] == 1 else f"{one['held']} messages"
        print_line(f"hold {one['id']} has ended; {messages} released")
    if not released:
        print_line(_NONE)


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show whether customer messages are on hold: until when, why, and how many wait."""
    rows = with_pool(lambda pool: holds.read(pool, _CLOCK.now()))
    show_rows(rows, _COLUMNS, _NONE, as_json=as_json)


def _local(moment: datetime) -> str:
    """In this machine's zone, which is named."""
    return moment.astimezone().strftime("%a %d %b %Y, %H:%M %Z")
