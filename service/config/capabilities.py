"""Determines what rules can use, before accounts and channels are validated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.channels import kinds
from service.domain.directory import GIVES, PEOPLE, SLACK_ID
from service.rules.capabilities import (
    UNKNOWN_CHANNEL,
    Capabilities,
    ChannelCapabilities,
    SystemCapabilities,
)
from service.sources import systems
from service.sources.facts import Facts

_REMEDY = "add it under people:, by their ids or names: docs/configuration.md#people"


def reach(
    accounts: Mapping[str, Any],
    channels: Mapping[str, Any],
    unread: frozenset[str],
    given: frozenset[str] = frozenset(),
) -> Capabilities:
    """What rules can use, including accounts and channels that have errors of their own.

    `unread` are the parts that could not be read at all, `given` the fields of people in the
    directory.
    """
    given = frozenset({*GIVES, SLACK_ID}) if "people" in unread else given
    ways = {name: _way(raw) for name, raw in channels.items()}
    abilities = {name: _abilities(raw, given) for name, raw in accounts.items()}
    told = (source.facts.fills for source in systems().values())
    return Capabilities(ways, abilities, unread, frozenset[str]().union(*told), given)


def _abilities(raw: Any, given: frozenset[str]) -> SystemCapabilities | None:
    system = _word(raw, "system")
    source = systems().get(system)
    if source is None:
        return None
    tenant, facts = source.options.tenant(raw), _completed(source.facts_for(raw), given)
    lacking = {write: one for write, one in source.needed_options.items() if not raw.get(one)}
    return SystemCapabilities(system, source.notifications, source.writes, lacking, tenant, facts)


def _completed(facts: Facts, given: frozenset[str]) -> Facts:
    """The facts, with the fields that the directory fills for people of the system."""
    people = [name for name in PEOPLE if name in facts.fills]
    lacking = {f"{name}.{one}": one for name in people for one in GIVES}
    lacking = {leaf: one for leaf, one in lacking.items() if leaf not in facts.fills}
    remedies = dict.fromkeys(lacking, _REMEDY)
    filled = (leaf for leaf, one in lacking.items() if one in given)
    return replace(facts.and_fills(*filled), remedies={**remedies, **facts.remedies})


def _way(raw: Any) -> ChannelCapabilities:
    channel = kinds().get(_word(raw, "kind"))
    if channel is None:
        return UNKNOWN_CHANNEL
    return ChannelCapabilities(
        channel.needs_target,
        channel.needs_text,
        channel.undoes,
        channel.longest,
        channel.target_problem,
        channel.attaches,
        tells_who=not channel.tells_who_by.isdisjoint(raw),
    )


def _word(raw: Any, key: str) -> str:
    return str(raw.get(key)) if isinstance(raw, dict) else ""
