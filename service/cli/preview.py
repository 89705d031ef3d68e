"""`taskbell preview`: what a rule would send about a task. Nothing is sent."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from service import config
from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.output.console import AsJson, print_line, show_json
from service.cli.tasks.naming import EXAMPLE, Account, Named, NoSuchTask, moment, one_task
from service.clock import SystemClock
from service.config import RulesConfig
from service.diagnostics import did_you_mean
from service.errors import TaskbellError
from service.explain.contacts import held_back
from service.explain.wording import told
from service.rules import sample
from service.rules.rule import Rule
from service.rules.sample import Sample
from service.rules.verdict import Plan
from service.settings import read_settings
from service.store import Pool
from service.store.operators import rule_overrides
from service.store.views import task_history
from service.store.views.task_history import TaskHistory

app = typer.Typer()

RuleName = Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help=f"As if its event came at this time, {EXAMPLE}"),
]


class NoSuchRule(TaskbellError):
    """The configuration has no rule with this id."""


class NothingMade(TaskbellError):
    """The rule's messages cannot be rendered for this task; the message says why."""


@app.command("preview")
def command(
    rule: RuleName,
    task: Named,
    *,
    account: Account = None,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Show what a rule would send about a task: to whom, when, and with which text.

    Nothing is sent or stored. It also works for rules that are off, and says if a condition of the
    rule is not met. It also says what `contacts:` holds back. Silences, holds and other messages
    are not considered.
    """
    written = config.sketch(find(read_settings()).taskbell_config, os.environ)

    wanted = _rule(written, rule)

    async def read(pool: Pool) -> tuple[RulesConfig, TaskHistory, _Preview]:
        sketch = written.switched(await rule_overrides.read(pool))
        async with pool.acquire() as connection:
            key = await one_task(connection, f"preview {rule}", task, account)
            papers = await task_history.read(connection, key)
            zone = sketch.zones.get(key[0], sketch.timezone)
            now = SystemClock().now() if at is None else moment(at, zone)
            shown = _sample(wanted, papers, now, sketch)
            policy = sketch.rules.contacts
            held = await held_back(connection, policy, shown.event, shown.plans, zone, now)
        return sketch, papers, _Preview(shown, held, zone)

    sketch, papers, preview = with_pool(read)
    mode = _mode(sketch, rule)
    if as_json:
        show_json(_as_json(preview, rule, mode))
        return
    for line in _lines(preview, papers, mode):
        print_line(line)


@dataclass(frozen=True, slots=True)
class _Preview:
    """A sample, with what `contacts:` says of each message, in the zone of its account."""

    sample: Sample
    held: Sequence[str | None]
    zone: ZoneInfo


def _rule(written: RulesConfig, name: str) -> Rule:
    rules = written.rules.with_others(written.off)
    found = rules.get(name)
    if found is None:
        hint = did_you_mean(name, rules.ids) or "see `taskbell rules list`"
        raise NoSuchRule(f"there is no rule {name}; {hint}")
    return found


def _mode(sketch: RulesConfig, name: str) -> str:
    rule = sketch.rules.get(name)
    if rule is None:
        return "off"
    return "trial" if rule.planning.shadow else "on"


def _sample(rule: Rule, papers: TaskHistory, now: datetime, sketch: RulesConfig) -> Sample:
    """Raises NoSuchTask for a task that was never seen, or NothingMade."""
    if papers.known.task is None:
        raise NoSuchTask(f"the task {papers.key[1]} was never seen in {papers.key[0]}")
    zone = sketch.zones.get(papers.key[0], sketch.timezone)
    shown = sample.sample(rule, papers.known.task, papers.events, now, zone, sketch.zones)
    if shown.failure is not None:
        raise NothingMade(
            f"rule {rule.id} cannot write its message about this task: {shown.failure}"
        )
    return shown


def _as_json(preview: _Preview, rule: str, mode: str) -> dict[str, Any]:
    shown = preview.sample
    told = zip(shown.plans, preview.held, strict=True)
    return {
        "rule": rule,
        "mode": mode,
        "event": {"id": shown.event.id or None, "kind": shown.event.kind},
        "refusal": shown.refusal,
        "messages": [_row(plan) | {"contacts": why} for plan, why in told],
    }


def _row(plan: Plan) -> dict[str, Any]:
    return {
        "step": plan.step,
        "to": plan.receiver,
        "at": plan.send_at,
        "state": plan.state,
        "reason": plan.reason,
        "approver": plan.approver,
        "subject": plan.subject,
        "text": plan.text,
        "fields": plan.fields,
    }


def _lines(preview: _Preview, papers: TaskHistory, mode: str) -> Iterator[str]:
    shown, zone = preview.sample, preview.zone
    event, (account, number) = shown.event, papers.key
    came = f"event #{event.id}" if event.id else "no such event has come yet"
    yield f"{event.task.title} ({number} in {account}), as if {event.kind} came ({came})"
    yield f"Times are those of {zone.key}. Nothing is sent."
    if mode != "on":
        yield f"note: the rule is {'on trial' if mode == 'trial' else 'off'}"
    if shown.refusal is not None:
        yield f"note: the rule would not act: {shown.refusal}"
    for plan, why in zip(shown.plans, preview.held, strict=True):
        yield ""
        yield from _message(plan, zone)
        if why is not None:
            yield f"  held back by contacts: {why}"


def _message(plan: Plan, zone: ZoneInfo) -> Iterator[str]:
    why = f" ({plan.reason})" if plan.reason else ""
    yield f"step {plan.step}, {plan.receiver}: {plan.state}, {told(plan.send_at, zone)}{why}"
    if plan.approver is not None:
        yield f"  first approved by: {plan.approver}"
    if plan.subject is not None:
        yield f"  subject: {plan.subject}"
    for name, value in (plan.fields or {}).items():
        yield f"  {name}: {value}"
    yield from (f"  {line}" for line in plan.text.splitlines())
