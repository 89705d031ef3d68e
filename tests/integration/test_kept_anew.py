"""What a newer Taskbell keeps of a task fills in by itself, and is news to nobody."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.clock import VirtualClock
from service.sandbox.plannr import person
from service.sources.fingerprints import fingerprint
from service.store import Pool
from tests.harness.corridor import Corridor, begun

RULES = "- { id: moved, when: task.changed, then: [{ notify: accounting }] }"
NEW = ("archived", "not_started", "completed_by", "author", "revision")


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def forget(taskbell: Corridor, task_id: str) -> None:
    """Make a task one that an earlier Taskbell has stored, which kept less."""
    known: dict[str, Any] = await taskbell.snapshot(task_id) or {}
    older = {name: value for name, value in known.items() if name not in NEW}
    fields = known["fields"].items()
    older["fields"] = {one: None if isinstance(value, list) else value for one, value in fields}
    source = taskbell.sources["london"]
    listed = source.list_view(source.trim(taskbell.sandbox.plannr.tasks[task_id]))
    await taskbell.pool.execute(
        "UPDATE tasks SET snapshot = $2, fingerprint = $3 WHERE id = $1",
        *(task_id, orjson.dumps(older).decode(), fingerprint(listed)),
    )


async def test_what_is_kept_anew_fills_in_without_an_event(taskbell: Corridor) -> None:
    """The task has not changed; the next scan reads it all the same, once."""
    regions = {"reference": "regions", "value": ["north", "south"]}
    gate = {"reference": "gate", "value": "north"}
    made = taskbell.sandbox.plannr.make(custom_fields=[regions, gate])
    await taskbell.poll("london")
    await forget(taskbell, made["uuid"])
    told = await taskbell.events()
    await taskbell.poll("london", full=True)
    known = await taskbell.snapshot(made["uuid"])
    assert known is not None
    assert known["author"]["name"] == "Gwen Thomas"
    assert known["fields"] == {"regions": ["north", "south"], "gate": "north"}
    assert await taskbell.events() == told


async def test_a_change_that_comes_with_it_is_told(taskbell: Corridor) -> None:
    """Who has it and what it is called was kept before: there the change is real."""
    made = taskbell.sandbox.plannr.make()
    await taskbell.poll("london")
    await forget(taskbell, made["uuid"])
    taskbell.sandbox.plannr.change(made["uuid"], name="New", assigned_to=person("Amir Khan"))
    await taskbell.poll("london")
    assert (await taskbell.events(made["uuid"]))[-2:] == ["reassigned by poll", "changed by poll"]
    changed = await taskbell.pool.fetchval("SELECT changed FROM events ORDER BY id DESC LIMIT 1")
    assert changed == ["title"]
