"""Tasks get the addresses of their pages, also those that an earlier Taskbell has stored."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest

from service.clock import VirtualClock
from service.sources.fingerprints import fingerprint, salt_of
from service.store import Pool
from tests.harness.corridor import Corridor, begun

RULES = "- { id: moved, when: task.changed, then: [{ notify: accounting }] }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def address(taskbell: Corridor, task_id: object) -> str | None:
    known = await taskbell.snapshot(str(task_id))
    assert known is not None
    found: str | None = known.get("url")
    return found


async def test_a_task_of_an_earlier_version_gets_its_address(taskbell: Corridor) -> None:
    """Stored without one, and unchanged since: the next scan fills it in, and no event says so."""
    made = taskbell.visit()
    await taskbell.poll()
    known = await taskbell.snapshot(made["id"])
    assert known is not None
    source = taskbell.sources["field"]
    listed = source.list_view(source.trim(taskbell.sandbox.kickserv.tasks[str(made["id"])]))
    salt = salt_of(source.revision, b"", source.account.due_by)
    await taskbell.pool.execute(
        "UPDATE tasks SET snapshot = $2, fingerprint = $3 WHERE id = $1",
        str(made["id"]),
        orjson.dumps({name: one for name, one in known.items() if name != "url"}).decode(),
        fingerprint(listed, salt),
    )
    told = await taskbell.events()
    await taskbell.poll(full=True)
    base = source.account.base_url
    found = await address(taskbell, made["id"])
    assert found == f"{base}/acme/tasks/{made['id']}"
    assert await taskbell.events() == told
    async with httpx.AsyncClient() as client:
        assert "the page of the task" in (await client.get(found)).text


async def test_a_webhook_keeps_the_address(taskbell: Corridor) -> None:
    """Its partial task has the same id, so the same address."""
    made = taskbell.visit()
    await taskbell.poll()
    before = await address(taskbell, made["id"])
    taskbell.sandbox.kickserv.change(str(made["id"]), name="New")
    await taskbell.webhook({"id": made["id"]})
    assert before is not None
    assert await address(taskbell, made["id"]) == before


async def test_without_a_pattern_there_is_no_address(taskbell: Corridor) -> None:
    """Plannr's web application has no known address: nothing is invented."""
    made = taskbell.sandbox.plannr.make()
    await taskbell.poll("london")
    assert await address(taskbell, made["uuid"]) is None
