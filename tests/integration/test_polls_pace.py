"""How often an account is polled, by what its webhooks do."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.store import Pool
from service.store.views import api_lists
from tests.harness.corridor import Corridor, corridor

RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync, in which `london` has signed webhooks and `field` none."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin("london", "field")
        yield running


async def shown(taskbell: Corridor, account: str = "london") -> dict[str, Any]:
    """The account as the API and the page show it."""
    [found] = await api_lists.read_accounts(taskbell.pool, taskbell.clock.now(), [account])
    return found


async def pause(taskbell: Corridor, account: str = "london") -> timedelta:
    """How long the account is left alone after a poll."""
    await taskbell.poll(account)
    at: timedelta = (await shown(taskbell, account))["next_poll_at"] - taskbell.clock.now()
    return at


async def test_polls_are_rarer_while_webhooks_come(taskbell: Corridor) -> None:
    """Whole tasks and hints alike speak for them, until the last is an hour ago."""
    assert 0.9 * MINUTE <= await pause(taskbell) <= MINUTE
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    assert 4.5 * MINUTE <= await pause(taskbell) <= 5 * MINUTE
    assert (await shown(taskbell))["webhook_at"] == taskbell.clock.now()
    taskbell.clock.advance(timedelta(hours=1))
    assert await pause(taskbell) <= MINUTE
    hint = {"uuid": taskbell.sandbox.plannr.make()["uuid"]}
    await taskbell.webhook(hint, "london")
    await taskbell.look_up("london")
    assert await pause(taskbell) >= 4.5 * MINUTE
    assert (await shown(taskbell))["missed"] == 0


async def test_a_change_that_no_webhook_told_makes_polls_hurry(taskbell: Corridor) -> None:
    """They have stopped: the account says how many were missed, and when the last was."""
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    assert await pause(taskbell) >= 4.5 * MINUTE
    taskbell.clock.advance(5 * MINUTE)
    for _ in range(3):
        taskbell.sandbox.plannr.make()
    assert 0.45 * MINUTE <= await pause(taskbell) <= 0.5 * MINUTE
    account = await shown(taskbell)
    assert (account["missed"], account["missed_at"]) == (3, taskbell.clock.now())
    taskbell.clock.advance(timedelta(minutes=15))
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    assert 1.8 * MINUTE <= await pause(taskbell) <= 2 * MINUTE


async def test_what_says_nothing_of_a_task_speaks_for_no_webhook(taskbell: Corridor) -> None:
    """A signal comes from somewhere else, and what nobody can read from nobody knows where."""
    task = taskbell.sandbox.plannr.make()
    await taskbell.poll("london")
    taskbell.clock.advance(timedelta(hours=1))
    await taskbell.webhook({"signal": "leaving", "task": task["uuid"]}, "london")
    await taskbell.webhook({"nothing": "known"}, "london")
    assert (await shown(taskbell))["webhook_at"] is None
    assert await pause(taskbell) <= MINUTE


async def test_an_account_without_signed_webhooks_keeps_its_interval(taskbell: Corridor) -> None:
    """Anybody may have sent what came; and nothing is missed where nothing is promised."""
    await taskbell.webhook(taskbell.visit())
    assert 0.9 * MINUTE <= await pause(taskbell, "field") <= MINUTE
    taskbell.visit()
    assert 0.9 * MINUTE <= await pause(taskbell, "field") <= MINUTE
    assert (await shown(taskbell, "field"))["missed"] == 0


async def test_a_miss_counts_although_the_poll_fails_in_the_end(taskbell: Corridor) -> None:
    """A change that only a poll has found counts as missed although the poll fails later on."""
    taskbell.sandbox.plannr.make()
    state = await taskbell.claim_poll("london", full=True)
    async for _ in taskbell.worker.polls["london"].run(state):
        break
    assert (await shown(taskbell))["missed"] == 1
