"""A backtest of one rule for the page: in bounded time and memory, however much has happened.

It is the backtest of the command line. Between the recorded events it stops once for each simulated
hour, to show its progress and to look at the time.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from service.channels import ways
from service.config import RulesConfig
from service.domain.contacts import Choices
from service.domain.model import Task
from service.rules.verdict import Outcome
from service.simulator import Simulator
from service.simulator.backtest import backtest
from service.simulator.batches import Batch, batches
from service.simulator.memory.deliveries import Delivery
from service.store import Pool, history
from service.store.history import RecordedEvent
from service.store.operators import contact_choices
from service.store.tasks import Key

MOST_TASKS = 50_000
_PACE = timedelta(hours=1)


class OutOfTimeError(Exception):
    """The backtest has to stop here."""


class TooManyTasksError(Exception):
    """There are more tasks than a web process should hold in memory."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What the rule would have done from `since` to `until` (UTC).

    `until` is before the time that was asked for if that took too long. `acted` is how often the
    rule matched.
    """

    since: datetime
    until: datetime
    acted: int
    deliveries: Sequence[Delivery]


async def try_rule(
    config: RulesConfig,
    rule: str,
    pool: Pool,
    since: datetime,
    until: datetime,
    tick: Callable[[datetime], None],
) -> Tried:
    """What a rule would have done, as if it were enabled; nothing is sent.

    `tick` is called with the time that the simulation has reached; it raises OutOfTimeError to stop
    it. Raises TooManyTasksError.
    """
    rules = config.on_trial.only([rule])
    zones = _zones(config, rule)
    simulator = Simulator(rules, zones, ways(config.kinds), since, people=config.people)
    reached = until
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        chosen_by_now = await contact_choices.known(connection, until)
        simulator.tx.outbox.contacts.choices = Choices(chosen_by_now)
        known = _few(history.tasks_at(connection, since), zones)
        recorded = batches(_of(zones, history.events(connection, since, until)))
        try:
            await backtest(simulator, known, _paced(recorded, since, until, tick), until, _ignore)
        except OutOfTimeError:
            reached = simulator.clock.now()
    matched = (one for one in simulator.tx.decisions.recorded if one.outcome == Outcome.MATCHED)
    return Tried(since, reached, len(list(matched)), simulator.tx.outbox.deliveries)


def _zones(config: RulesConfig, rule: str) -> dict[str, ZoneInfo]:
    """The zones of the accounts that the rule is for; other accounts are left out."""
    found = config.on_trial.get(rule)
    accounts = None if found is None else found.accounts
    return {
        name: zone for name, zone in config.zones.items() if accounts is None or name in accounts
    }


async def _few(
    known: AsyncIterator[tuple[Key, Task]], accounts: Collection[str]
) -> AsyncIterator[tuple[Key, Task]]:
    count = 0
    async for key, task in known:
        if key[0] not in accounts:
            continue
        count += 1
        if count > MOST_TASKS:
            raise TooManyTasksError
        yield key, task


async def _of(
    accounts: Collection[str], recorded: AsyncIterator[RecordedEvent]
) -> AsyncIterator[RecordedEvent]:
    """The events of these accounts."""
    async for one in recorded:
        if one.event.account in accounts:
            yield one


async def _paced(
    recorded: AsyncIterator[Batch],
    since: datetime,
    until: datetime,
    tick: Callable[[datetime], None],
) -> AsyncIterator[Batch]:
    """The recorded batches, with an empty one for each hour between them."""
    reached = since
    async for batch in recorded:
        while reached + _PACE <= batch.now:
            reached += _PACE
            tick(reached)
            yield Batch(reached, "", ())
        tick(batch.now)
        yield batch
    while reached + _PACE <= until:
        reached += _PACE
        tick(reached)
        yield Batch(reached, "", ())


def _ignore(_: int) -> None:
    """The number of events says nothing about the time that is left."""
