"""What a configuration offers to its rules, read off before its accounts and channels are sound."""

from collections.abc import Mapping
from typing import Any

from service.channels import kinds
from service.rules.reach import ANY_WAY, Abilities, Reach, Way
from service.sources import systems


def reach(
    accounts: Mapping[str, Any], channels: Mapping[str, Any], unread: frozenset[str]
) -> Reach:
    """What rules can use, including what is named and has faults of its own.

    `unread` are the parts that could not be read at all.
    """
    ways = {name: _way(_word(raw, "kind")) for name, raw in channels.items()}
    abilities = {name: _abilities(raw) for name, raw in accounts.items()}
    told = (source.facts.fills for source in systems().values())
    return Reach(ways, abilities, unread, frozenset[str]().union(*told))


def _abilities(raw: Any) -> Abilities | None:
    system = _word(raw, "system")
    source = systems().get(system)
    if source is None:
        return None
    tenant, facts = source.options.tenant(raw), source.facts_for(raw)
    lacking = {write: one for write, one in source.needed_options.items() if not raw.get(one)}
    return Abilities(system, source.notifications, source.writes, lacking, tenant, facts)


def _way(kind: str) -> Way:
    channel = kinds().get(kind)
    return ANY_WAY if channel is None else Way(channel.needs_target, channel.undoes)


def _word(raw: Any, key: str) -> str:
    return str(raw.get(key)) if isinstance(raw, dict) else ""
