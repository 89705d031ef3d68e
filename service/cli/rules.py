"""`taskbell rules`: lists the rules, and switches them on, to trial or off."""

import os
from datetime import datetime
from typing import Annotated, Any

import typer

from service import config
from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.output.console import AsJson, print_line, say, show_json, show_rows, who
from service.cli.output.overrides import lines_of
from service.clock import SystemClock
from service.diagnostics import did_you_mean
from service.domain.operators.overrides import Mode, Override
from service.errors import ConfigError, TaskbellError
from service.outbox import rule_switches
from service.rules.overrides import RuleMode, modes
from service.settings import read_settings
from service.store import Pool, decisions
from service.store.operators import rule_overrides
from service.store.operators.rule_overrides import Switch
from service.store.views import rule_activity

app = typer.Typer(help="List the rules, and switch them on, to trial or off.", no_args_is_help=True)

_COLUMNS = ("rule", "mode", "switched", "last_matched_at", "last_message_at")
_NONE = "the configuration has no rules"
_CLOCK = SystemClock()
_LONGEST_REASON = 500

Name = Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")]
Reason = Annotated[
    str | None,
    typer.Option(help="The reason, shown with each decision and message that the switch affects."),
]


class NoSuchRule(TaskbellError):
    """No rule of the configuration has this id."""


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List all rules: their mode, who switched them, and when they last did something."""
    rows, unused = with_pool(_read)
    if as_json:
        show_json({"rules": rows, "unused": unused})
        return
    shown = [row | {"switched": _switched(row["override"])} for row in rows]
    show_rows(shown, _COLUMNS, _NONE, as_json=False)
    for line in lines_of(unused, ()):
        print_line(line)


async def _read(pool: Pool) -> tuple[list[dict[str, Any]], dict[str, Override]]:
    """A row for each rule, and the overrides of rules that are not configured."""
    overrides = await rule_overrides.read(pool)
    found = modes(await _text(pool), overrides)
    matched = await rule_activity.last_matches(pool)
    last = await rule_activity.last_messages(pool, list(found))
    messages = {rule: message["created_at"] for rule, message in last.items()}
    rows = [_row(one, matched.get(rule), messages.get(rule)) for rule, one in found.items()]
    return rows, {rule: one for rule, one in overrides.items() if rule not in found}


@app.command()
def on(rule: Name, reason: Reason = None, *, as_json: AsJson = False) -> None:
    """Switch a rule on. It sends nothing about earlier events."""
    _switch(rule, Mode.ON, reason, as_json=as_json)


@app.command()
def trial(rule: Name, reason: Reason = None, *, as_json: AsJson = False) -> None:
    """Switch a rule to trial: it records what it would have sent, and sends nothing."""
    _switch(rule, Mode.TRIAL, reason, as_json=as_json)


@app.command()
def off(rule: Name, reason: Reason = None, *, as_json: AsJson = False) -> None:
    """Switch a rule off. Its messages that are still waiting are cancelled."""
    _switch(rule, Mode.OFF, reason, as_json=as_json)


@app.command()
def follow(rule: Name, reason: Reason = None, *, as_json: AsJson = False) -> None:
    """Let a rule follow the configuration again, after it was switched."""
    _switch(rule, None, reason, as_json=as_json)


def _switch(rule: str, mode: Mode | None, reason: str | None, *, as_json: bool) -> None:
    done = Switch(mode, who(), _CLOCK.now(), _said(reason))

    async def work(pool: Pool) -> Mode | None:
        known = modes(await _text(pool), {})
        overrides = {} if mode is not None else await rule_overrides.read(pool)
        if rule not in known and rule not in overrides:
            hint = did_you_mean(rule, [*known, *overrides]) or "see `taskbell rules list`"
            raise NoSuchRule(f"there is no rule {rule}; {hint}")
        written = known[rule].written if rule in known else None
        await rule_switches.switch(pool, rule, written, done)
        return mode or written

    now = with_pool(work)
    says = "is not in the configuration" if now is None else _SAYS[now]
    follows = "follows the configuration again: it " if mode is None else ""
    say(f"rule {rule} {follows}{says}", {"rule": rule, "mode": now}, as_json=as_json)


_SAYS = {
    Mode.ON: "is on",
    Mode.TRIAL: "is on trial: it records what it would have sent, and sends nothing",
    Mode.OFF: "is off",
}


async def _text(pool: Pool) -> str:
    """The part of the configuration that has the rules; if it has errors, of the one in use."""
    try:
        return config.sketch(find(read_settings()).taskbell_config, os.environ).rules.text
    except ConfigError:
        loaded = await decisions.rules_in_force(pool)
        if loaded is None:
            raise
        return loaded[1]


def _said(reason: str | None) -> str | None:
    if reason is None:
        return None
    if not reason.strip() or not reason.isprintable() or len(reason) > _LONGEST_REASON:
        message = f"give a reason of up to {_LONGEST_REASON} printable characters"
        raise typer.BadParameter(message, param_hint="--reason")
    return reason.strip()


def _row(one: RuleMode, matched: datetime | None, message: datetime | None) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "mode": one.mode,
        "written": one.written,
        "override": one.override,
        "last_matched_at": matched,
        "last_message_at": message,
    }


def _switched(override: Override | None) -> str:
    return "" if override is None else f"{override.at.astimezone():%d %b %H:%M %Z}, {override.said}"
