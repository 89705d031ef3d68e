"""`taskbell backtest`: the messages that rules would have sent over the recorded history."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from service import config
from service.channels import ways
from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.output.console import A_MONTH, AsJson, Since, print_line, show_json
from service.cli.output.counting import counting
from service.cli.output.simulation import line_of
from service.config import RulesConfig
from service.diagnostics import did_you_mean
from service.domain.contacts import Choices
from service.rules.ruleset import Ruleset
from service.settings import read_settings
from service.simulator import Simulator
from service.simulator.backtest import Findings, backtest, findings, row_of
from service.simulator.batches import batches
from service.simulator.memory.deliveries import Delivery
from service.store import Pool, history
from service.store.operators import contact_choices

app = typer.Typer()

_FEW = 10

Rules = Annotated[
    list[str] | None,
    typer.Argument(metavar="RULE", show_default="all rules", help="Ids of the rules to try."),
]
File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        exists=True,
        metavar="FILE",
        show_default="TASKBELL_CONFIG",
        help="The configuration with these rules. It does not have to be the one in use.",
    ),
]


@app.command("backtest")
def command(
    rules: Rules = None,
    since: Since = A_MONTH,
    file: File = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what rules would have sent, how often, to whom and when. Nothing is sent."""
    sketch = config.sketch(file or find(read_settings()).taskbell_config, os.environ)
    chosen = _chosen(sketch, rules)
    until = datetime.now(UTC)

    async def read(pool: Pool) -> Sequence[Delivery]:
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            total = await history.count(connection, since, until)
            simulator = Simulator(
                chosen, sketch.zones, ways(sketch.kinds), since, people=sketch.people
            )
            chosen_by_now = await contact_choices.known(connection, until)
            simulator.tx.outbox.contacts.choices = Choices(chosen_by_now)
            with counting("reading recorded events", total) as progress:
                return await backtest(
                    simulator,
                    history.tasks_at(connection, since),
                    batches(history.events(connection, since, until)),
                    until,
                    progress,
                )

    found = findings(with_pool(read), sketch.zones)
    if as_json:
        show_json(_as_json(found))
    else:
        _tell(found, sketch, since)


def _chosen(sketch: RulesConfig, ids: Sequence[str] | None) -> Ruleset:
    """The rules with these ids as if they were enabled; without ids, the enabled ones."""
    if not ids:
        return sketch.rules
    rules = sketch.on_trial
    for one in ids:
        if one not in rules:
            hint = did_you_mean(one, rules.ids) or ""
            raise typer.BadParameter(f"there is no rule {one}; {hint}".rstrip("; "))
    return rules.only(ids)


def _tell(found: Findings, sketch: RulesConfig, since: datetime) -> None:
    count = len(found.sent)
    days = max((datetime.now(UTC) - since).days, 1)
    messages = "message" if count == 1 else "messages"
    per_day = f"{count / days:.1f} a day"
    print_line(f"{count:,} {messages} would have been sent in {days} days, {per_day}")
    for where, several in list(found.by_address.items())[:_FEW]:
        print_line(f"  {several:>6,}  {where}")
    if len(found.by_address) > _FEW:
        print_line(f"          and {len(found.by_address) - _FEW:,} more addresses")
    for why, several in list(found.kept.items())[:_FEW]:
        print_line(f"  {several:>6,}  not sent, {why}")
    _tell_some("between 21:00 and 7:00", found.at_night, sketch)
    _tell_some("to the same customer again on the same day", found.twice, sketch)
    _tell_some("the last messages", found.sent[-_FEW:], sketch)


def _tell_some(what: str, several: Sequence[Delivery], sketch: RulesConfig) -> None:
    if not several:
        return
    print_line(f"{what}: {len(several):,}")
    for one in several[:_FEW]:
        print_line(f"  {line_of(one, sketch.zones, sketch.timezone)}")


def _as_json(found: Findings) -> dict[str, Any]:
    return {
        "sent": [{"id": one.id, **row_of(one)} for one in found.sent],
        "by_address": found.by_address,
        "not_sent": found.kept,
        "at_night": [one.id for one in found.at_night],
        "twice": [one.id for one in found.twice],
    }
