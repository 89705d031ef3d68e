"""The web process by itself: its door stands open whatever else is asked of it."""

import asyncio
from pathlib import Path

import asyncpg
import httpx

from tests.harness.running import taskbell
from tests.harness.site import CONFIGURATION


async def test_pages_that_wait_for_the_database_keep_no_webhook_waiting(folder: Path) -> None:
    """More ask for them than there are connections, or may be let in: the door has its own."""
    async with taskbell(folder, CONFIGURATION, "web") as running:
        other = await asyncpg.connect(running.postgres.url)
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=running.url, limits=limits) as client:
            async with other.transaction():
                await other.execute("LOCK TABLE tasks, deliveries IN ACCESS EXCLUSIVE MODE")
                asked = [asyncio.create_task(client.get("/api/v1/tasks")) for _ in range(110)]
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                answer = await client.post("/hooks/open", json={"id": "T1"}, timeout=2)
                assert answer.status_code == 202
                assert (await client.get("/healthz")).status_code == 200
            statuses = [(await one).status_code for one in asked]
        await other.close()
    assert (statuses.count(200), statuses.count(503)) == (100, 10)
