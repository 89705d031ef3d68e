"""`taskbell next`: what will be sent, and when, if nothing changes."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from service import config
from service.channels import ways
from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.output.account_waits import tell_waits
from service.cli.output.console import AsJson, print_line, show_json
from service.cli.output.simulation import line_of
from service.domain.durations import parse_length
from service.outbox import silences
from service.settings import read_settings
from service.simulator import Simulator
from service.simulator.backtest import row_of
from service.simulator.memory.deliveries import Delivery
from service.simulator.upcoming import upcoming
from service.store import Pool
from service.store.operators import rule_overrides
from service.store.views import api_lists
from service.store.views.listing import Row

app = typer.Typer()

_DAY: Any = "24h"

Within = Annotated[
    timedelta,
    typer.Option("--within", parser=parse_length, metavar="TIME", help="How far ahead: 24h, 7d."),
]
Limit = Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Maximum number of rows.")]


@app.command("next")
def command(within: Within = _DAY, limit: Limit = 50, *, as_json: AsJson = False) -> None:
    """Show what will be sent, to whom and when, if no task changes. Nothing is sent."""
    sketch = config.sketch(find(read_settings()).taskbell_config, os.environ)

    async def read(pool: Pool) -> tuple[Sequence[Delivery], list[Row]]:
        now = datetime.now(UTC)
        rules = sketch.switched(await rule_overrides.read(pool)).rules
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            silenced = await silences.still_on(connection, now)
            simulator = Simulator(rules, sketch.zones, ways(sketch.kinds), now, silenced)
            found = await upcoming(simulator, connection, now + within)
        return found, await api_lists.read_accounts(pool, now, list(sketch.zones))

    found, accounts = with_pool(read)
    if as_json:
        show_json([row_of(one) for one in found[:limit]])
        return
    for one in found[:limit]:
        print_line(line_of(one, sketch.zones, sketch.timezone))
    if not found:
        print_line("nothing will be sent unless something changes")
    elif len(found) > limit:
        print_line(f"… and {len(found) - limit:,} more")
    tell_waits(accounts)
