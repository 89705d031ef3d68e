"""`taskbell outbox snooze`: has a message sent again later."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from service.cli.database import with_pool
from service.cli.outbox.arguments import Number
from service.cli.output.console import AsJson, say, who
from service.cli.tasks.naming import EXAMPLE, moment
from service.clock import SystemClock
from service.domain.model import State
from service.explain.wording import told
from service.outbox.operator_actions import snoozing
from service.store import Pool, accounts
from service.store.views import messages

_UTC = ZoneInfo("UTC")

Until = Annotated[
    str, typer.Option("--until", metavar="TIME", help=f"When it is sent again, {EXAMPLE}")
]


def snooze(number: Number, until: Until, *, as_json: AsJson = False) -> None:
    """Have a message sent again later, unless its task is done, deleted or acknowledged by then.

    Messages to customers cannot be snoozed.
    """
    by = who()

    async def work(pool: Pool) -> tuple[int, datetime, ZoneInfo]:
        account = await messages.account_of(pool, number)
        zone = (await accounts.zones_of(pool)).get(account or "", _UTC)
        at = moment(until, zone)
        return await snoozing.snooze(pool, SystemClock(), number, at, by=by), at, zone

    again, at, zone = with_pool(work)
    said = f"delivery {number} will be sent again as {again}, at {told(at, zone)} ({zone.key})"
    about = {"id": again, "state": State.PLANNED, "next_attempt_at": at}
    say(said, about, as_json=as_json)
