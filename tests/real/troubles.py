"""What happens to hosts and servers on a day on which everything fails once."""

import asyncio

import asyncpg

from tests.real.day import Day, Trouble
from tests.real.network import POSTGRES, REDIS

CUT_OFF = 15.0  # seconds


async def a_worker_is_killed(day: Day) -> None:
    day.hosts[0].kill("worker")


async def a_web_process_is_killed(day: Day) -> None:
    day.hosts[1].kill("web")


async def a_host_is_killed(day: Day) -> None:
    day.hosts[1].kill()


async def redis_is_flushed_twice(day: Day) -> None:
    for _ in range(2):
        assert day.redis.ask("FLUSHALL").strip() == "OK"
        await asyncio.sleep(0.5)


async def redis_is_killed(day: Day) -> None:
    day.redis.kill()
    await asyncio.sleep(2)
    await asyncio.to_thread(day.redis.start)


async def nginx_is_killed(day: Day) -> None:
    day.nginx.kill()
    await asyncio.to_thread(day.nginx.start)


async def postgres_loses_its_power(day: Day) -> None:
    await asyncio.to_thread(day.primary.restart)


async def postgres_only_reads(day: Day) -> None:
    """As with a disk that is full: by a setting, and with every session opened anew."""
    admin = await asyncpg.connect(day.primary.url)
    setting = "ALTER DATABASE taskbell SET default_transaction_read_only"
    await admin.execute(f"{setting} = on")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'taskbell'"
    )
    await asyncio.sleep(5)
    await admin.execute(f"{setting} = off")
    await admin.close()


async def the_pooler_is_killed(day: Day) -> None:
    assert day.pooler is not None
    day.pooler.kill()
    await asyncio.sleep(1)
    await asyncio.to_thread(day.pooler.start)


async def the_standby_takes_over(day: Day) -> None:
    """The primary is gone in the middle of the work, and stays away."""
    assert day.standby is not None
    day.primary.kill()
    await asyncio.sleep(2)
    await asyncio.to_thread(day.standby.promote)


async def a_host_hears_nothing_from_postgres(day: Day) -> None:
    """The other host goes on; what this one had begun is done by it, or later by this one."""
    assert day.network is not None
    day.network.cut(day.hosts[0].address, POSTGRES)
    await asyncio.sleep(CUT_OFF)
    day.network.heal()


async def no_host_hears_anything_from_redis(day: Day) -> None:
    assert day.network is not None
    for host in day.hosts:
        day.network.cut(host.address, REDIS)
    await asyncio.sleep(CUT_OFF)
    day.network.heal()


ANYWAY: tuple[Trouble, ...] = (
    a_worker_is_killed,
    a_web_process_is_killed,
    a_host_is_killed,
    redis_is_flushed_twice,
    redis_is_killed,
    nginx_is_killed,
    postgres_loses_its_power,
)
