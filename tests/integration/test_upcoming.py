"""What `taskbell next` foretells of what is under way, and what it leaves out."""

from datetime import timedelta
from pathlib import Path

from service.channels import ways
from service.domain.digests import Join, Joining
from service.domain.model import Kind
from service.simulator import Simulator
from service.simulator.upcoming import upcoming
from service.store import Pool
from service.store.digests import PostgresDigests
from service.store.waits import PostgresWaits
from tests.harness import history
from tests.harness.rule_files import configured
from tests.harness.tasks import START, task

HOUR = timedelta(hours=1)


async def test_nothing_is_foretold_of_an_account_that_is_gone(pool: Pool, folder: Path) -> None:
    """It was taken out of the configuration while a task, a wait, a digest and a message waited."""
    config = configured(folder, "")
    late = task("T1", "gone", due=START + HOUR)
    await history.know(pool, late, at=START)
    event = await history.record(pool, late, Kind.CREATED, at=START)
    await history.plan(pool, event)
    async with pool.acquire() as connection, connection.transaction():
        await PostgresWaits(connection).start("r", event, START, HOUR, HOUR)
        joining = Joining("Smith", HOUR, 10)
        await PostgresDigests(connection).join([Join("r", event.account, event, joining)], START)
        trial = Simulator(config.rules, config.zones, ways(config.kinds), START)
        assert await upcoming(trial, connection, START + 24 * HOUR) == []
