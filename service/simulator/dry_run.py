"""Dry run: what rules that are not in use yet would have done on the last events of one task.

Each rule is explained as `taskbell explain` does it, and its messages come from a simulation of the
same events. Nothing is read, sent or written here.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.channels import ways
from service.config import RulesConfig
from service.domain.model import Task
from service.explain import Explanation
from service.explain.explainer import explain
from service.explain.rule_versions import RuleVersions
from service.rules.ruleset import Ruleset
from service.simulator import Simulator
from service.simulator.backtest import backtest
from service.simulator.batches import batches
from service.simulator.memory.deliveries import Delivery
from service.store.history import RecordedEvent
from service.store.views.digest_history import DigestHistory
from service.store.views.task_history import TaskHistory

_LAST = 50  # events
# Messages that wait for hours are followed for as long as a weekend with holidays takes.
_AFTERWARDS = timedelta(days=4)
_BEFORE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class DryRun:
    """The result for each rule, and the messages that the rules would have sent, by rule.

    `events` are those that were tried. Messages of rules with a schedule are not simulated.
    """

    explanations: Sequence[Explanation]
    deliveries: Mapping[str, Sequence[Delivery]]
    events: Sequence[RecordedEvent]


def dry_run(sketch: RulesConfig, papers: TaskHistory, now: datetime) -> DryRun:
    """Try the rules of a configuration on a task, also those on trial."""
    rules = sketch.rules.with_shadow_enabled()
    recorded = papers.recorded[-_LAST:]
    zone = sketch.zones.get(papers.key[0], sketch.timezone)
    undecided = replace(
        papers,
        recorded=recorded,
        decisions=[],
        deliveries=[],
        waits=[],
        together=DigestHistory(),
        texts={},
    )
    since = recorded[0].event.at if recorded else papers.added_at
    found = explain(RuleVersions(rules, {}), undecided, zone, now, since, sketch.zones)
    sent = asyncio.run(_simulated(rules, sketch, recorded)) if recorded else ()
    by_rule: dict[str, list[Delivery]] = {}
    for one in sent:
        by_rule.setdefault(one.request.rule, []).append(one)
    return DryRun([replace(one, notes=()) for one in found], by_rule, recorded)


async def _simulated(
    rules: Ruleset, sketch: RulesConfig, recorded: Sequence[RecordedEvent]
) -> Sequence[Delivery]:
    first = recorded[0]
    # An alarm's event has the time when it was due: the simulation begins before that.
    start = min(first.event.at, first.decided_at) - _BEFORE
    without_schedule = rules.only({one.id for one in rules if one.trigger.cron is None})
    simulator = Simulator(
        without_schedule,
        sketch.zones,
        ways(sketch.kinds),
        start,
        people=sketch.people,
    )
    return await backtest(
        simulator,
        _known(first),
        batches(_one_by_one(recorded)),
        recorded[-1].decided_at + _AFTERWARDS,
        lambda _done: None,
    )


async def _known(first: RecordedEvent) -> AsyncIterator[tuple[tuple[str, str], Task]]:
    """The task before its first event."""
    event = first.event
    if event.before is not None:
        yield (event.account, event.task_id), event.before


async def _one_by_one(recorded: Sequence[RecordedEvent]) -> AsyncIterator[RecordedEvent]:
    for one in recorded:
        yield one
