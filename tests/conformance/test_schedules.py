"""Schedules: each slot of a rule's schedule comes once in an account."""

from datetime import UTC, datetime, timedelta

from service.domain.schedules import Schedule, Slot
from tests.conformance.storages import LONDON, PARIS, ZONES, Storage

HOURLY = Schedule("0 * * * *", ZONES[LONDON])
HALF_PAST = Schedule("30 * * * *", ZONES[LONDON])
MORNING = datetime(2026, 3, 6, 7, 10, tzinfo=UTC)


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return MORNING.replace(hour=hour, minute=minute, second=second)


async def test_a_slot_comes_at_its_moment(storage: Storage) -> None:
    """And not before; the past of a schedule that is new is not made up for."""
    wanted = {("r", LONDON): HOURLY}
    await storage.put_in_force(wanted, MORNING)
    assert await storage.tx.schedules.take(wanted, at(7, 59, 59)) is None
    slot = await storage.tx.schedules.take(wanted, at(8))
    assert slot == Slot("r", LONDON, HOURLY, due=at(8), at=at(8))


async def test_a_slot_comes_once(storage: Storage) -> None:
    """The schedule goes on with the next one."""
    wanted = {("r", LONDON): HOURLY}
    await storage.put_in_force(wanted, MORNING)
    assert await storage.tx.schedules.take(wanted, at(8)) is not None
    assert await storage.tx.schedules.take(wanted, at(8, 59)) is None
    slot = await storage.tx.schedules.take(wanted, at(9))
    assert slot is not None
    assert slot.due == at(9)


async def test_several_slots_that_were_missed_come_as_one(storage: Storage) -> None:
    """With the first of them, and the last that is not too late."""
    wanted = {("r", LONDON): HOURLY}
    await storage.put_in_force(wanted, MORNING)
    slot = await storage.tx.schedules.take(wanted, at(11, 20))
    assert slot == Slot("r", LONDON, HOURLY, due=at(8), at=at(11))
    assert await storage.tx.schedules.take(wanted, at(11, 20)) is None


async def test_a_slot_of_long_ago_is_too_late(storage: Storage) -> None:
    """It still comes, so that it is recorded."""
    daily = Schedule("0 8 * * *", ZONES[LONDON])
    await storage.put_in_force({("r", LONDON): daily}, MORNING)
    slot = await storage.tx.schedules.take({("r", LONDON): daily}, at(12))
    assert slot == Slot("r", LONDON, daily, due=at(8), at=None)


async def test_the_slot_that_is_due_for_longest_comes_first(storage: Storage) -> None:
    """Those of one moment in the order of their rules and accounts."""
    wanted = {
        ("late", LONDON): HOURLY,
        ("b", LONDON): HALF_PAST,
        ("a", PARIS): HALF_PAST,
        ("a", LONDON): HALF_PAST,
    }
    await storage.put_in_force(wanted, MORNING)
    came = []
    while (slot := await storage.tx.schedules.take(wanted, at(8, 10))) is not None:
        came.append((slot.rule, slot.account))
    assert came == [("a", LONDON), ("a", PARIS), ("b", LONDON), ("late", LONDON)]


async def test_only_slots_come_that_are_wanted(storage: Storage) -> None:
    """Others wait: the clock says nothing of their account until it is read anew."""
    every = {("r", LONDON): HOURLY, ("r", PARIS): HOURLY}
    await storage.put_in_force(every, MORNING)
    first = await storage.tx.schedules.take({("r", PARIS): HOURLY}, at(8))
    assert first is not None
    assert first.account == PARIS
    assert await storage.tx.schedules.take({("r", PARIS): HOURLY}, at(8)) is None
    waiting = await storage.tx.schedules.take(every, at(8, 20))
    assert waiting == Slot("r", LONDON, HOURLY, due=at(8), at=at(8))


async def test_the_schedule_of_another_configuration_does_not_come(storage: Storage) -> None:
    """Another cron or zone is in force: this process has not heard of it yet, or is the last."""
    await storage.put_in_force({("r", LONDON): HOURLY}, MORNING)
    for other in (HALF_PAST, Schedule(HOURLY.cron, ZONES[PARIS])):
        assert await storage.tx.schedules.take({("r", LONDON): other}, at(9)) is None


async def test_slots_come_in_the_zone_of_the_account(storage: Storage) -> None:
    """Nine in the morning is an hour earlier in Paris."""
    nine = {("r", name): Schedule("0 9 * * *", zone) for name, zone in ZONES.items()}
    await storage.put_in_force(nine, MORNING)
    slots = [await storage.tx.schedules.take(nine, at(9)) for _ in nine]
    assert [(one.account, one.due) for one in slots if one is not None] == [
        (PARIS, at(9) - timedelta(hours=1)),
        (LONDON, at(9)),
    ]


async def test_a_rule_for_several_accounts_has_a_time_of_its_own(storage: Storage) -> None:
    """Its slots come if they were due by then; the schedules of others come as ever."""
    wanted = {("r", LONDON): HOURLY, ("s", LONDON): HOURLY}
    await storage.put_in_force(wanted, MORNING)
    take = storage.tx.schedules.take
    other = await take(wanted, at(8, 10), {"r": at(7, 55)})
    assert other is not None
    assert other.rule == "s"
    assert await take(wanted, at(8, 20), {"r": at(7, 59)}) is None
    slot = await take(wanted, at(8, 30), {"r": at(8)})
    assert slot == Slot("r", LONDON, HOURLY, due=at(8), at=at(8))
