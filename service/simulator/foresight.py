"""What will be sent, for a page: computed in bounded time and memory, however many tasks there are.

`upcoming` reads every task and every message ever planned. Here only those tasks are read to which
something happens by then; and what was planned before is asked about once the simulation has shown
what would be planned now. If some of it was, the simulation is repeated with that knowledge.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from service.channels import Channel
from service.domain.alarm_sets import AlarmSet
from service.domain.contacts import Choice, Choices, ContactKey
from service.domain.operators.silences import Silence
from service.outbox import Identity, silences, visits
from service.rules.ruleset import Ruleset
from service.rules.visits import VisitAnnouncement
from service.simulator import Simulator
from service.simulator.memory.deliveries import Delivery
from service.simulator.upcoming import UnderWay, take_over
from service.store import Connection, Pool, history
from service.store.operators import contact_choices
from service.store.tasks import TaskState
from service.store.views import coming

MOST_TASKS = 50_000
MOST_TO_CHOOSE = 10_000  # tasks for a schedule that reads all of them
_MOST_MESSAGES = 5_000
_PASSES = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """What a simulation of the future goes by: rules, the accounts' zones, channels by name."""

    rules: Ruleset
    zones: Mapping[str, ZoneInfo]
    ways: Mapping[str, type[Channel]]


@dataclass(frozen=True, slots=True)
class Foresight:
    """What would become of `deliveries`, computed at `now`, if nothing changes up to `until`.

    `until` (UTC) is before the time that was asked for if there was too much to compute. `unasked`
    are rules that read all tasks (`for_each`, `tasks` in `if`), if there are too many.
    """

    now: datetime
    until: datetime
    deliveries: Sequence[Delivery]
    unasked: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Start:
    """What the database has of the present: enough to simulate up to `until`."""

    rules: Ruleset
    silenced: Sequence[Silence]
    tasks: Sequence[tuple[str, TaskState]]
    begun: UnderWay
    until: datetime


@dataclass(slots=True)
class _Known:
    """What of the past speaks against messages that a simulation has planned."""

    placed: dict[tuple[Identity, bool], None]
    told: dict[str, VisitAnnouncement]
    chosen: dict[Choice, None]

    @property
    def size(self) -> int:
        return len(self.placed) + len(self.told) + len(self.chosen)


async def foresee(
    setting: Setting, pool: Pool, now: datetime, until: datetime, has_time: Callable[[], bool]
) -> Foresight:
    """Play the present state forward from `now` to `until`, or as far as `has_time` allows."""
    async with (
        pool.acquire() as connection,
        connection.transaction(readonly=True, isolation="repeatable_read"),
    ):
        start = await _read(setting, connection, now, until)
    known = _Known({}, {}, {})
    for _ in range(_PASSES):
        simulator = await _play(setting, start, now, known, has_time)
        if not has_time() or not await _has_learnt(pool, simulator, known, now):
            break
    reached = min(simulator.clock.now(), start.until)
    unasked = [rule.id for rule in setting.rules if rule.id not in start.rules]
    return Foresight(now, reached, simulator.tx.outbox.deliveries, unasked)


async def _read(setting: Setting, connection: Connection, now: datetime, until: datetime) -> _Start:
    silenced = await silences.still_on(connection, now)
    rules, accounts = setting.rules, list(setting.zones)
    if chooses := _choosing(setting, now, until):
        if await coming.has_more_tasks(connection, accounts, MOST_TO_CHOOSE):
            rules = rules.only({one.id for one in rules} - set(chooses))
        else:
            tasks = await coming.all_tasks(connection, accounts)
            begun = await UnderWay.read(connection, now, until)
            return _Start(rules, silenced, tasks, begun, until)
    sets = {name: AlarmSet(rules.alarms, zone).id for name, zone in setting.zones.items()}
    tasks, reaches = await coming.tasks_due(connection, sets, until, MOST_TASKS)
    until = min(until, max(reaches or until, now))
    return _Start(rules, silenced, tasks, await UnderWay.read(connection, now, until), until)


def _choosing(setting: Setting, now: datetime, until: datetime) -> list[str]:
    """The rules that read all tasks when their schedule comes, if it does by then."""
    slots = {
        rule: schedule.after(now)
        for (rule, _), schedule in setting.rules.schedules(setting.zones).items()
        if setting.rules.reads_all_tasks(rule)
    }
    return [rule for rule, at in slots.items() if at is not None and at <= until]


async def _play(
    setting: Setting, start: _Start, now: datetime, known: _Known, has_time: Callable[[], bool]
) -> Simulator:
    simulator = Simulator(start.rules, setting.zones, setting.ways, now, start.silenced)
    simulator.tx.outbox.remember(known.placed)
    simulator.tx.outbox.remember_announced(known.told)
    simulator.tx.outbox.contacts.choices = Choices(known.chosen)
    await take_over(simulator, start.tasks, start.begun)
    while (moment := simulator.tx.next_moment()) is not None and moment <= start.until:
        if not has_time() or len(simulator.tx.outbox.deliveries) > _MOST_MESSAGES:
            return simulator
        await simulator.go_on(moment)
    await simulator.go_on(start.until)
    return simulator


async def _has_learnt(pool: Pool, simulator: Simulator, known: _Known, now: datetime) -> bool:
    """Whether something of the past was found that the simulation did not know."""
    before = known.size
    new = [one for one in simulator.tx.outbox.deliveries if one.stored is None]
    planned = [one.request.identity for one in new]
    known.placed |= dict.fromkeys(await history.placed_of(pool, planned))
    visited = [one.visit.key for one in simulator.tx.outbox.deliveries if one.visit is not None]
    known.told |= await visits.known_by_key(pool, visited)
    reached = [one.receivers.keys for one in simulator.tx.outbox.deliveries]
    async with pool.acquire() as connection:
        keys = frozenset[ContactKey]().union(*reached)
        known.chosen |= dict.fromkeys(await contact_choices.about(connection, keys, now))
    return known.size > before
