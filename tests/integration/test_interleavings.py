"""Laws 2, 4, 5 and 6 at once: whatever the order in which looks come and transactions die."""

from collections.abc import AsyncIterator, Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.clock import VirtualClock
from service.sources import systems
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.office import REST, STEPS, Office, Step, every_system, shown

RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"
EXAMPLES = 1000 if settings.get_current_profile_name() == "soak" else 12
LOOKS = 6  # at most, for what was announced and does not show
# The kinds of event that tell whether a task is there, and done.
TURNS = {"created", "restored", "completed", "reopened", "deleted"}
# Of each the system, and whether it says when a task was changed.
KINDS = {**{name: (name, True) for name in sorted(systems())}, "undated": ("kickserv", False)}


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with corridor(folder, pool, clock, RULES, every_system) as running:
        await running.begin()
        yield running


steps = st.tuples(
    st.sampled_from([name for name, weight in STEPS.items() for _ in range(weight)]),
    st.sampled_from([0, 0, 0, 1, -1]),
    st.integers(0, 2),
    st.sampled_from([None, None, None, "early", "late"]),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=st.lists(steps, min_size=20, max_size=40))
async def test_any_interleaving_ends_as_the_system_and_tells_a_true_story(
    kind: str, taken: list[Step], taskbell: Corridor
) -> None:
    """What is known is what is; each event follows from the one before and was once so.

    Webhooks need no poll to be understood, and what changed needs no whole reading to be found.
    What was announced and never shows is no event, and nobody waits for it for ever.
    """
    await forget(taskbell.pool)
    system, dated = KINDS[kind]
    office = Office(taskbell, system, dated=dated)
    for step in taken:
        await office.do(step)
    await office.read_webhooks()
    await are_known(office, await understood(office))
    await office.read_list()
    await are_known(office, office.system.tasks.keys() & set(office.ids) - office.rolled_back)
    for _ in range(3):
        await office.read_list(full=True)
    await are_known(office, set(office.ids))
    for task_id in office.ids:
        await is_true(office, task_id)
    for _ in range(LOOKS):  # what was announced last is still looked for
        taskbell.clock.advance(REST)
        await taskbell.look_up(system)
    assert await taskbell.pool.fetchval("SELECT count(*) FROM announcements") == 0


async def forget(pool: Pool) -> None:
    """Leave nothing of the example before."""
    await pool.execute("TRUNCATE tasks, events, receipts, lookups, announcements, rate_limits")
    await pool.execute(
        "UPDATE accounts SET canaries = '{}', failing_since = NULL, scan_asked_at = NULL"
    )


async def understood(office: Office) -> set[str]:
    """The tasks that webhooks told of.

    A system that shows none of its canaries may have been closed to Taskbell, so its word that a
    task is gone waits for a scan.
    """
    told = office.told - office.rolled_back
    canaries = await office.taskbell.pool.fetchval(
        "SELECT canaries FROM accounts WHERE name = $1", office.account
    )
    there = office.system.tasks.keys()
    return told & there if canaries and there.isdisjoint(canaries) else told


async def are_known(office: Office, ids: set[str]) -> None:
    """These tasks are known as they are."""
    for task_id in ids:
        assert shown(await office.taskbell.snapshot(task_id)) == office.history[task_id][-1]


async def is_true(office: Office, task_id: str) -> None:
    """The task's events are what really was, in its order."""
    rows = await office.taskbell.pool.fetch(
        "SELECT kind, at, before, after FROM events WHERE task = $1 ORDER BY id", task_id
    )
    looks = [
        (told(orjson.loads(before or "null")), told(orjson.loads(after or "null")))
        for (_, before, after), _ in groupby(rows, key=itemgetter("at", "before", "after"))
    ]
    real = [told(one) for one in office.history[task_id]]
    assert [before for before, _ in looks] == [None, *(after for _, after in looks)][: len(looks)]
    assert (looks[-1][1] if looks else None) == real[-1]
    rest = iter(real)
    assert all(after in rest for _, after in looks), "told in another order than it was"
    assert [row["kind"] for row in rows if row["kind"] in TURNS] == turns(
        [after for _, after in looks]
    )


def turns(looks: Iterable[Any]) -> list[str]:
    """What has to be told of looks at a task, one after the other: whether it is there, and done.

    So a task that is done in the end was completed, once since it was last open or never seen.
    """
    found, before, last = [], None, None
    for after in looks:
        found += turned(before, after, last)
        before, last = after, after or last
    return found


def turned(before: Any, after: Any, last: Any) -> list[str]:
    """`last` is how the task was when it was last there; None if it never was."""
    if after is None:
        return ["deleted"]
    appeared = [] if before else ["restored" if last else "created"]
    was_done = bool(last and last["done"])
    if after["done"] and not was_done:
        return [*appeared, "completed"]
    return ["reopened"] if before and was_done and not after["done"] else appeared


def told(task: Any) -> Any:
    """What events tell of a task; a customer whose name comes late is no news."""
    seen = shown(task)
    if seen is not None and seen["customer"] is not None:
        seen["customer"] = seen["customer"]["id"]
    return seen
