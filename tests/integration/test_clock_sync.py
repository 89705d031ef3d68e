"""Hosts whose clocks are wrong work together: all of them go by the database's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.cli.doctor.local import examine_database
from service.clock import SharedClock, SystemClock, VirtualClock
from service.maintenance import clock_sync
from service.settings import read_settings
from service.store import Pool
from tests.harness.corridor import Corridor, configured, corridor
from tests.harness.receivers import Answer
from tests.harness.running import free_port
from tests.harness.waiting import eventually
from workers.handover import Handover

RULES = "- { id: book, when: task.created, then: [{ notify: accounting }] }"
CLOSE = timedelta(seconds=1)


class WrongClock:
    """The clock of a host that nobody has set."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return SystemClock().now() + self.ahead


@pytest.mark.parametrize("minutes", [-120, -2, 2, 120])
async def test_a_wrong_clock_is_corrected(pool: Pool, minutes: int) -> None:
    """By the database's clock, which is right here; the log says so once."""
    clock = SharedClock(WrongClock(timedelta(minutes=minutes)))
    with capture_logs() as logs:
        for _ in range(3):
            await clock_sync.correct(pool, clock)
    assert abs(clock.now() - SystemClock().now()) < CLOSE
    [told] = logs
    assert told["event"] == "clock.differs_from_the_database"
    assert round(told["ahead"] / 60) == minutes


async def test_a_clock_that_was_set_right_is_followed(pool: Pool) -> None:
    """What was corrected before is not corrected any more."""
    wrong = WrongClock(timedelta(minutes=2))
    clock = SharedClock(wrong)
    await clock_sync.correct(pool, clock)
    wrong.ahead = timedelta()
    await clock_sync.correct(pool, clock)
    assert abs(clock.now() - SystemClock().now()) < CLOSE


async def test_what_is_negligible_is_not_corrected(pool: Pool) -> None:
    """On one host, and with NTP, a clock is the host's own, which never goes back."""
    clock = SharedClock(WrongClock(timedelta(milliseconds=40)))
    with capture_logs() as logs:
        await clock_sync.correct(pool, clock)
    assert (clock.ahead, logs) == (timedelta(), [])


async def test_a_slow_answer_proves_nothing(pool: Pool) -> None:
    """The clock stays as it was corrected before."""

    class Slow:
        """A clock that goes on by a minute with each look."""

        def __init__(self) -> None:
            self._looks = -1

        def now(self) -> datetime:
            self._looks += 1
            return SystemClock().now() + timedelta(minutes=self._looks)

    clock = SharedClock(Slow())
    clock.ahead = timedelta(minutes=5)
    await clock_sync.correct(pool, clock)
    assert clock.ahead == timedelta(minutes=5)


async def test_the_doctor_says_that_a_clock_is_wrong(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do; it says nothing of a clock that is right."""
    assert [one.subject for one in await examine_database(database_url, None)] == ["database"]
    behind = WrongClock(timedelta(minutes=-2))
    monkeypatch.setattr("service.cli.doctor.local.SystemClock", lambda: behind)
    [_, found] = await examine_database(database_url, None)
    assert found.subject == "clock"
    assert found.says.startswith("this machine's clock is 120.0 seconds behind the database's")
    assert found.advice == "set the clocks of both machines automatically (NTP)"


@pytest.fixture
async def taskbell(pool: Pool, folder: Path) -> AsyncIterator[Corridor]:
    """A firm of today, whose work is done by other hosts."""
    today = VirtualClock(SystemClock().now())
    async with corridor(folder, pool, today, RULES) as running:
        await running.begin()
        yield running


@asynccontextmanager
async def host(taskbell: Corridor, database_url: str, ahead: timedelta) -> AsyncIterator[None]:
    """A worker on a host whose clock is so far ahead; nobody wakes it up."""
    environ = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    handover = Handover(read_settings(environ), SharedClock(WrongClock(ahead)))
    patient = taskbell.head | {"accounting_options": "timeout: 30s"}
    await handover.hand_over(configured(taskbell.folder, RULES, patient))
    try:
        yield
    finally:
        await handover.close()


async def test_hosts_take_nothing_from_each_other(taskbell: Corridor, database_url: str) -> None:
    """A host that is 4 minutes ahead of another sees that this one is still sending."""
    taskbell.accounting.reply(Answer(after=(answered := asyncio.Event())))
    async with host(taskbell, database_url, timedelta(minutes=-2)):
        await taskbell.receive(taskbell.visit())
        await eventually(taskbell.is_accounting_told)
        async with host(taskbell, database_url, timedelta(minutes=2)):
            await asyncio.sleep(6)
            answered.set()
            await eventually(taskbell.is_everything_sent)
    [delivery] = await taskbell.deliveries()
    assert delivery["attempts"] == 1
    assert len(taskbell.accounting.requests) == 1
    assert abs(delivery["settled_at"] - SystemClock().now()) < timedelta(seconds=30)


async def test_a_host_that_begins_takes_no_time_for_the_future(
    taskbell: Corridor, database_url: str
) -> None:
    """Two hours behind, it would think that everything stored was, and put it right."""
    scanned = "SELECT min(scanned_at) FROM accounts"
    before = await taskbell.pool.fetchval(scanned)
    async with host(taskbell, database_url, timedelta(hours=-2)):
        assert await taskbell.pool.fetchval(scanned) >= before
