"""`taskbell explain`: why each rule fired or did not fire for a task."""

import os
from dataclasses import replace
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from service import config
from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.output import explanation
from service.cli.output.console import AsJson, out, show_json
from service.cli.tasks.naming import EXAMPLE, Account, Named, moment, one_task
from service.clock import SystemClock
from service.config import RulesConfig, past_rules
from service.diagnostics import did_you_mean
from service.errors import TaskbellError
from service.explain import Explanation, account_status, summary
from service.explain.explainer import explain
from service.explain.rule_versions import RuleVersions
from service.explain.wording import told
from service.settings import Settings, read_settings
from service.store import Pool, decisions
from service.store.operators import rule_overrides
from service.store.tasks import Key
from service.store.views import api_lists, task_history
from service.store.views.task_history import TaskHistory

app = typer.Typer()

OneRule = Annotated[str | None, typer.Option("--rule", metavar="ID", help="Only this rule.")]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help=f"Explain as of this time, {EXAMPLE}"),
]


class NoSuchRule(TaskbellError):
    """No rule has this id."""


@app.command("explain")
def explain_task(
    task: Named,
    *,
    account: Account = None,
    rule: OneRule = None,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Show why each rule fired for a task or did not, with the values in its conditions."""
    settings = find(read_settings())
    written = config.sketch(settings.taskbell_config, os.environ)

    async def read(pool: Pool) -> tuple[RulesConfig, TaskHistory, bool]:
        sketch = written.switched(await rule_overrides.read(pool))
        loaded = await decisions.rules_in_force(pool)
        async with pool.acquire() as connection:
            key = await one_task(connection, "explain", task, account)
            until = moment(at, _zone(sketch, key)) if at else None
            rules = sketch.rules
            papers = await task_history.read(connection, key, rules.crons, until, rules.leads)
        [row] = await api_lists.read_accounts(pool, SystemClock().now(), [key[0]])
        waits = account_status.what_waits(row, lambda when: told(when, _zone(sketch, key)))
        papers = replace(papers if until is None else papers.until(until), account_waits=waits)
        return sketch, papers, loaded is None or loaded[0] == sketch.rules.version

    sketch, papers, is_loaded = with_pool(read)
    zone = _zone(sketch, papers.key)
    found = _explained(sketch, papers, zone, settings, rule)
    if as_json:
        show_json(summary.as_json(papers, found, is_loaded=is_loaded))
        return
    for line in explanation.lines(papers, found, zone, is_loaded=is_loaded):
        out.print(line, soft_wrap=True)


def _zone(sketch: RulesConfig, key: Key) -> ZoneInfo:
    return sketch.zones.get(key[0], sketch.timezone)


def _explained(
    sketch: RulesConfig, papers: TaskHistory, zone: ZoneInfo, settings: Settings, rule: str | None
) -> list[Explanation]:
    now = SystemClock().now()
    since = max(papers.added_at, now - settings.taskbell_keep_events)
    then = {version: past_rules(text, sketch) for version, text in papers.texts.items()}
    found = explain(RuleVersions(sketch.rules, then), papers, zone, now, since, sketch.zones)
    if rule is None:
        return found
    names = [one.rule for one in found]
    if rule not in names:
        hint = did_you_mean(rule, names) or "see `taskbell check`"
        raise NoSuchRule(f"there is no rule {rule} in {settings.taskbell_config}; {hint}")
    return [one for one in found if one.rule == rule]
