"""New and changed rules, and the number of tasks that already match them.

These tasks are ignored: rules ignore what happened before they were added.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from service.config import Config
from service.rules.overrides import modes, overrides_in
from service.rules.preview import already_matching
from service.store import Pool, tasks


async def passed_over(pool: Pool, config: Config, before: str, now: datetime) -> dict[str, int]:
    """How many tasks match each new or changed rule already; only rules with at least one.

    A rule is new if the rules that were active `before` do not contain it unchanged, in the same
    mode.
    """
    rules = config.rules.only(_news(_written(before), _written(config.text)))
    counts: Counter[str] = Counter()
    if any(True for _ in rules):
        async for some in tasks.in_batches(pool, list(config.accounts)):
            counts.update(already_matching(rules, some, config.zones, now))
    return {rule: count for rule, count in counts.items() if count}


def _news(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, rule in new.items() if old.get(name) != rule)


def _written(text: str) -> dict[str, Any]:
    """The rules of a stored text as they were written, by their ids, each with its mode."""
    rules, mode_of = orjson.loads(text).get("rules", []), modes(text, overrides_in(text))
    return {rule["id"]: (rule, mode_of[rule["id"]].mode) for rule in rules}
