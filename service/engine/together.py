"""Rules with `together`: they act once for several accounts, in one of them, their *lead*."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from service.domain.digests import Join
from service.domain.model import Event
from service.domain.schedules import PATIENCE, Slot
from service.engine.transaction import Transaction
from service.rules.groups import Together
from service.rules.ruleset import Ruleset
from service.rules.verdict import Verdict

_NEVER = datetime.fromtimestamp(0, UTC)


async def due_until(
    tx: Transaction, rules: Mapping[str, Together], active: Collection[str], now: datetime
) -> dict[str, datetime]:
    """By rule: what was due until then it may do now; `active` are accounts that are up to date.

    A rule waits until each of its accounts is read, but for a limited time, if one is.
    """
    until = {}
    for rule, joint in rules.items():
        states = await tx.accounts.read(joint.accounts)
        synced = {name for name, one in states.items() if one.baseline_at is not None}
        ready = joint.accounts & synced & {*active}
        late = now - PATIENCE if ready else _NEVER
        until[rule] = now if ready == joint.accounts else late
    return until


async def outdated(
    tx: Transaction, rules: Mapping[str, Together], rule: str, now: datetime
) -> str | None:
    """The accounts of the rule whose tasks may be out of date; None for a rule on its own."""
    if rule not in rules:
        return None
    return ", ".join(sorted(await tx.accounts.outdated(rules[rule].accounts, now))) or None


def as_last_read(moment: Event) -> str:
    """The end of a reason: the accounts that a schedule has taken as they were read last."""
    return f"; as last read: {moment.outdated}" if moment.outdated else ""


def zones_of(
    rules: Mapping[str, Together], zones: Mapping[str, ZoneInfo], slot: Slot
) -> dict[str, ZoneInfo]:
    """The accounts whose tasks the rule of a slot reads, with their zones."""
    joint = rules.get(slot.rule)
    known = {slot.account} if joint is None else joint.accounts & zones.keys()
    return {name: zones[name] for name in sorted(known)}


def join(
    rules: Ruleset, zones: Mapping[str, ZoneInfo], event: Event, verdict: Verdict, now: datetime
) -> Join:
    """The digest that an event joins; that of the lead collects by the lead's hours."""
    rule, joining = rules.get(verdict.rule), verdict.joining
    if rule is None or joining is None:
        raise ValueError(f"rule {verdict.rule} joins no digest")
    if rule.together is None:
        return Join(rule.id, event.account, event, joining)
    # In a replay the lead may have been taken out of the configuration since.
    there = zones.get(rule.together, zones[event.account])
    wait = rule.wait_of_digest(now, there)
    return Join(rule.id, rule.together, event, replace(joining, wait=wait))
