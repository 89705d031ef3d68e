"""The directory of people: what a system does not tell of them is filled in when a task is read."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.sandbox.plannr import person
from service.simulator import Simulator
from service.simulator.backtest import backtest
from service.simulator.batches import batches
from service.store import Pool, history
from tests.harness.corridor import Corridor, begun, copy, kinds

MINUTE = timedelta(minutes=1)
RULES = """
- { id: yours, when: task.completed,
    then: [{ notify: "slack:@{{ task.assignee.email }}", text: "{{ task.assignee.name }}" }] }
- { id: news, when: task.changed, then: [{ notify: accounting }] }
- { id: given, when: task.reassigned, then: [{ notify: accounting }] }
"""
ALICE = "people: { user_456: { name: A. Smith, email: alice@firm.test } }"
BY_NAME = 'people: { " alice SMITH": { email: alice@firm.test, number: 17 } }'
MOVED = "people: { user_456: { email: alice@new.test } }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell with Alice in its directory, after its first sync."""
    async with begun(folder, pool, clock, RULES + ALICE) as running:
        yield running


async def assignee(taskbell: Corridor, task_id: str) -> dict[str, Any]:
    known = await taskbell.snapshot(task_id)
    assert known is not None
    assert known["assignee"] == known["assignees"][0]
    return {name: known["assignee"][name] for name in ("id", "name", "email")}


async def targets(taskbell: Corridor) -> list[str]:
    return [one["target"] for one in await taskbell.deliveries("yours")]


async def happened(taskbell: Corridor) -> list[str]:
    """What happened beside that tasks were made."""
    return [kind for kind in kinds(await taskbell.events()) if kind != "created"]


async def test_who_comes_without_an_address_has_that_of_the_directory(taskbell: Corridor) -> None:
    """Rolodex tells id and name: these are its own, and the address is the directory's."""
    task = taskbell.sandbox.rolodex.make()
    await taskbell.poll("sales")
    alice = {"id": "user_456", "name": "Alice Smith", "email": "alice@firm.test"}
    assert await assignee(taskbell, task["id"]) == alice
    taskbell.sandbox.rolodex.finish(task["id"])
    await taskbell.poll("sales")
    await taskbell.deliver("slack")
    assert await targets(taskbell) == ["@alice@firm.test"]
    assert taskbell.posts == ["Alice Smith"]


async def test_a_push_with_an_id_alone_is_filled_in_as_well(taskbell: Corridor) -> None:
    """A task that nobody knew has the directory's name; one that is known keeps its own."""
    rolodex = taskbell.sandbox.rolodex
    known, new = rolodex.make(), rolodex.make()
    await taskbell.webhook(copy(new) | {"assignee": "user_456"}, "sales")
    alice = {"id": "user_456", "name": "A. Smith", "email": "alice@firm.test"}
    assert await assignee(taskbell, new["id"]) == alice
    await taskbell.poll("sales")
    await taskbell.webhook(copy(known) | {"assignee": "user_456"}, "sales")
    assert await assignee(taskbell, known["id"]) == alice | {"name": "Alice Smith"}
    assert await happened(taskbell) == []


@pytest.mark.parametrize(
    ("after", "email"),
    [(BY_NAME, "alice@firm.test"), (MOVED, "alice@new.test"), ("", None)],
    ids=["by name", "another address", "taken out"],
)
async def test_another_directory_reaches_stored_tasks_without_an_event(
    taskbell: Corridor, after: str, email: str | None
) -> None:
    """The tasks have not changed; the next scan reads them all the same, once."""
    task = taskbell.sandbox.rolodex.make()
    await taskbell.poll("sales")
    await taskbell.restart(RULES + after)
    await taskbell.poll("sales")
    assert (await assignee(taskbell, task["id"]))["email"] == email
    assert await happened(taskbell) == []
    seen_at = await taskbell.pool.fetch("SELECT observed_at FROM tasks WHERE account = 'sales'")
    taskbell.clock.advance(MINUTE)
    await taskbell.poll("sales")
    after_that = await taskbell.pool.fetch("SELECT observed_at FROM tasks WHERE account = 'sales'")
    assert after_that == seen_at


async def test_what_the_system_tells_wins(taskbell: Corridor) -> None:
    """Plannr tells an address, which the directory has otherwise."""
    await taskbell.restart(RULES + 'people: { "Amir Khan": { email: other@firm.test } }')
    task = taskbell.sandbox.plannr.make(assigned_to=[person("Amir Khan")])
    await taskbell.poll("london")
    assert (await assignee(taskbell, task["uuid"]))["email"] == person("Amir Khan")["email"]


async def test_the_history_is_gone_through_with_the_directory(
    taskbell: Corridor,
) -> None:
    """A backtest fills in what was recorded before there was a directory."""
    await taskbell.restart(RULES)
    begins = taskbell.clock.now()
    task = taskbell.sandbox.rolodex.make()
    await taskbell.poll("sales")
    taskbell.clock.advance(MINUTE)
    taskbell.sandbox.rolodex.finish(task["id"])
    await taskbell.poll("sales")
    await taskbell.restart(RULES + ALICE)
    config, until = taskbell.config, taskbell.clock.now() + MINUTE
    async with taskbell.pool.acquire() as connection, connection.transaction():
        found = await backtest(
            Simulator(config.rules, config.zones, ways(config.kinds), begins, people=config.people),
            history.tasks_at(connection, begins),
            batches(history.events(connection, begins, until)),
            until,
            lambda _: None,
        )
    told = [one.request.plan.target for one in found if one.request.rule == "yours"]
    assert told == ["@alice@firm.test"]
