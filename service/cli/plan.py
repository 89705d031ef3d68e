"""`taskbell plan`: what a configuration would change, before it is loaded."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from service import config
from service.cli.console import AsJson, out, show_json
from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.progress import counting
from service.clock import SystemClock
from service.config import Sketch, past_rules
from service.engine import IN_FORCE
from service.rollout import Change, Fate, Rollout, RulePlan, Side
from service.rollout.forecast import Forecast
from service.settings import read_settings
from service.store import Pool, decisions, outlook

app = typer.Typer()

File = Annotated[
    Path | None,
    typer.Argument(
        exists=True, show_default="TASKBELL_CONFIG", help="A YAML file or a folder of them."
    ),
]
_SIGNS = {
    Change.ADDED: "[green]+[/green]",
    Change.REMOVED: "[red]-[/red]",
    Change.CHANGED: "[yellow]~[/yellow]",
    Change.SAME: " ",
}
_TIMERS = {
    Fate.KEPT: "kept",
    Fate.MOVED: "moved to another time",
    Fate.LOST: "lost",
    Fate.NEW: "new",
}
_WAITS = {
    Fate.KEPT: "kept, to be decided by the rule as it is then",
    Fate.LOST: "ended without a message",
    Fate.STRANDED: "left until their account is there again",
}
_MESSAGES = {
    Fate.KEPT: "sent as they were planned",
    Fate.LOST: "given up, as their way out is gone",
}


@app.command()
def plan(file: File = None, *, as_json: AsJson = False) -> None:
    """Compare a configuration with what runs: rules, alarms, what is pending. Changes nothing."""
    path = file or find(read_settings()).taskbell_config
    sketch = config.sketch(path)
    found = with_pool(lambda pool: _forecast(pool, sketch))
    if as_json:
        show_json(found)
        return
    for line in _lines(found, path):
        out.print(line, soft_wrap=True)


async def _forecast(pool: Pool, sketch: Sketch) -> Rollout:
    planned = Side(sketch.rules, sketch.zones, frozenset(sketch.kinds))
    forecast = Forecast(await _running(pool, sketch), planned)
    forecast.add_waits(await outlook.waits(pool))
    forecast.add_deliveries(await outlook.deliveries(pool))
    if forecast.concerns_tasks:
        total = await outlook.count_tasks(pool)
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            with counting("looking at tasks", total) as progress:
                tasks = outlook.tasks(connection)
                await forecast.add_tasks(tasks, SystemClock().now(), progress)
    return forecast.plan


async def _running(pool: Pool, sketch: Sketch) -> Side | None:
    loaded = await decisions.rules_in_force(pool)
    if loaded is None:
        return None
    watched = await outlook.watched(pool, IN_FORCE)
    zones = {name: zone or sketch.timezone for name, zone in watched.items()}
    return Side(past_rules(loaded[1], sketch), zones)


def _lines(found: Rollout, path: Path) -> Iterator[str]:
    if found.is_nothing:
        yield f"{escape(str(path))} changes nothing"
        return
    yield from (f"[green]+[/green] account {name}" for name in found.accounts_added)
    yield from (f"[red]-[/red] account {name}" for name in found.accounts_gone)
    yield from (f"[red]-[/red] {lane}, with messages pending" for lane in found.lanes_gone)
    if found.settings:
        yield "[yellow]~[/yellow] what all rules share"
        yield from map(_difference, found.settings)
    for one in found.rules:
        if one.is_affected:
            yield from _rule(one)
    yield ""
    yield f"{escape(str(path))}: {_summary(found)}"


def _rule(one: RulePlan) -> Iterator[str]:
    yield f"{_SIGNS[one.change]} rule [bold]{one.rule}[/bold]"
    yield from map(_difference, one.lines)
    if one.matching:
        yield f"    tasks: {one.matching:,} matching already, passed over"
    yield from _fates("alarms", one.timers, _TIMERS)
    if one.next_ring is not None:
        yield f"    next alarm: {one.next_ring.astimezone():%a %-d %b %Y, %H:%M}"
    yield from _fates("waits until quiet", one.waits, _WAITS)
    yield from _fates("messages", one.deliveries, _MESSAGES)


def _fates(what: str, counts: Counter[Fate], words: dict[Fate, str]) -> Iterator[str]:
    told = [f"{counts[fate]:,} {says}" for fate, says in words.items() if counts[fate]]
    if told:
        yield f"    {what}: {', '.join(told)}"


def _difference(line: str) -> str:
    style = {"+": "green", "-": "red"}.get(line[:1], "dim")
    return f"    [{style}]{escape(line)}[/{style}]"


def _summary(found: Rollout) -> str:
    counts = Counter(one.change for one in found.rules)
    told = [f"{counts[one]} {one}" for one in Change if counts[one]]
    return f"rules: {', '.join(told)}. Nothing was changed: `taskbell serve` loads it."
