"""How far the first sync of an account is, for whoever waits for it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.processes.embedded import EmbeddedValkey
from service.store import Pool, accounts
from service.store.views import api_lists
from tests.harness.corridor import Corridor, corridor
from tests.harness.site import Site, serving

RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that has not read anything, and systems with a page and a half of tasks."""
    async with corridor(folder, pool, clock, RULES) as running:
        for _ in range(150):
            running.visit()
            running.sandbox.rolodex.make()
        running.sandbox.plannr.make()
        yield running


@pytest.fixture
async def web(
    taskbell: Corridor, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with serving(taskbell.config, taskbell.pool, clock, valkey.url) as running:
        yield running


async def shown(taskbell: Corridor, account: str) -> dict[str, Any]:
    [found] = await api_lists.read_accounts(taskbell.pool, taskbell.clock.now(), [account])
    return found


@pytest.mark.parametrize(
    ("account", "read", "total", "words"),
    [
        ("field", 100, None, "100 tasks so far."),
        ("sales", 100, 150, "100 of 150 tasks so far."),
        ("london", 1, 1, "1 of 1 task so far."),
    ],
)
async def test_the_first_sync_shows_how_far_it_is(
    taskbell: Corridor, web: Site, account: str, read: int, total: int | None, words: str
) -> None:
    """In the API and on the page: with the total where the system tells one."""
    state = await taskbell.claim_poll(account)
    poll = taskbell.worker.polls[account]
    pages = poll.run(state)
    await anext(pages)
    assert await poll.keep_lease(state)
    found = await shown(taskbell, account)
    assert (found["state"], found["scan_read"], found["scan_total"]) == ("baseline", read, total)
    assert words in (await web.client.get("/")).text
    async for _ in pages:
        pass
    await accounts.release(taskbell.pool, state)
    found = await shown(taskbell, account)
    assert (found["state"], found["scan_read"], found["scan_total"]) == ("ok", None, None)
    assert "so far" not in (await web.client.get("/")).text


async def test_a_poll_for_changes_is_no_scan(taskbell: Corridor) -> None:
    """Its pages say nothing of how far anything is."""
    await taskbell.begin("field")
    state = await taskbell.claim_poll("field")
    poll = taskbell.worker.polls["field"]
    async for _ in poll.run(state):
        assert await poll.keep_lease(state)
        assert (await shown(taskbell, "field"))["scan_read"] is None
