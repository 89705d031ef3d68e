"""`taskbell replay`: repeats recorded decisions and compares the results."""

import os
from datetime import UTC, datetime

import typer

from service import config
from service.channels import ways
from service.channels.webhook import WebhookChannel
from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.output.console import A_MONTH, AsJson, Since, print_line, show_json
from service.cli.output.counting import counting
from service.config import RulesConfig, past_rules
from service.outbox import silences
from service.settings import read_settings
from service.simulator.batches import batches
from service.simulator.replay import Replay, Replayed
from service.store import Connection, Pool, history
from service.store.operators import rule_overrides

app = typer.Typer()

# Stands in for channels that are not in the configuration any more: nothing is sent anyway.
_ANY = WebhookChannel
_UNPROVEN = (
    "for these, the recorded data is incomplete: tasks that were imported without events, and"
    " changed creation or update dates, leave no event"
)


@app.command()
def replay(since: Since = A_MONTH, *, as_json: AsJson = False) -> None:
    """Evaluate the recorded decisions again and compare the results. Nothing is sent.

    A difference that is not marked "without proof" is a bug in Taskbell.
    """
    sketch = config.sketch(find(read_settings()).taskbell_config, os.environ)

    async def read(pool: Pool) -> Replayed:
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            return await _replay(connection, sketch, since, datetime.now(UTC))

    replayed = with_pool(read)
    _tell(replayed, as_json=as_json)
    if replayed.missing or replayed.new:
        raise typer.Exit(1)


async def _replay(
    connection: Connection, sketch: RulesConfig, since: datetime, until: datetime
) -> Replayed:
    texts = await history.rulesets(connection, since, until)
    rules = {version: past_rules(text, sketch) for version, text in texts.items()}
    gone = dict.fromkeys(frozenset[str]().union(*(one.channels for one in rules.values())), _ANY)
    replay = Replay(
        rules,
        sketch.zones,
        {**gone, **ways(sketch.kinds)},
        await history.decisions(connection, since, until),
        await history.placed_before(connection, since),
        await silences.still_on(connection, since),
        await rule_overrides.off_periods(connection),
    )
    total = await history.count(connection, since, until)
    with counting("replaying", total) as progress:
        recorded = batches(history.events(connection, since, until))
        return await replay.run(history.tasks_at(connection, since), recorded, progress)


def _tell(replayed: Replayed, *, as_json: bool) -> None:
    if as_json:
        show_json(replayed)
        return
    for what, several in (
        ("was recorded", replayed.missing),
        ("is now", replayed.new),
        ("not proven", replayed.unproven),
    ):
        for one in several:
            # To the microsecond: it may be all that differs.
            line = f"{what:<12} {one.at:%Y-%m-%d %H:%M:%S.%f %Z}  event {one.event}"
            print_line(f"{line}, {one.rule}: {one.outcome}: {one.reason}")
    print_line(_summary(replayed))


def _summary(replayed: Replayed) -> str:
    looked_at = f"{replayed.events:,} events, {replayed.decisions:,} decisions"
    if replayed.missing or replayed.new:
        count = max(len(replayed.missing), len(replayed.new))
        return f"{looked_at}: {count:,} are not the same; please report this"
    if replayed.unproven:
        return f"{looked_at}: all others are the same; {_UNPROVEN}"
    return f"{looked_at}: all are the same"
