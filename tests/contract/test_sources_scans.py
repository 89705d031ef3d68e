"""What lists and answers by id prove of every system, from its sandbox down to the events."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from service.channels import built_in
from service.clock import VirtualClock
from service.engine import Engine
from service.engine.decider import Decider
from service.rules.ruleset import Ruleset
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.system import Quirks, TaskSystem
from service.sources import systems
from service.store import Pool, accounts, canaries
from tests.contract.source_rig import Rig, rigged
from workers.lookup import Lookups
from workers.poll import LEASE, Poll

# What lists do wrong; none of it is a reason to take a task for deleted.
WRONGS: dict[str, Any] = {
    "shifts on": {"shift": 1},
    "shifts back": {"shift": -1},
    "repeats": {"unpaged": True},
    "loops": {"loop": True},
    "leads elsewhere": {"foreign_next": True},
    "ends early": {"ends_early": True},
    "ends early without a total": {"ends_early": True, "totalled": False},
    "is empty": {"empty": True},
    "is empty for want of rights": {"blind": True},
}


@dataclass(frozen=True, slots=True)
class Watched:
    """One account of the system, polled and looked up when the test says so."""

    rig: Rig
    pool: Pool
    poller: Poll
    lookups: Lookups
    made: list[str]

    @property
    def system(self) -> TaskSystem:
        return self.rig.system

    @property
    def account(self) -> str:
        return self.rig.source.account.name

    async def scan(self) -> None:
        """A minute later everything is read, and what is missing is asked for by id."""
        self.rig.clock.advance(timedelta(minutes=1))
        now = self.rig.clock.now()
        await accounts.poll_now(self.pool, self.account, now)
        [state] = await accounts.claim_due(self.pool, [self.account], now, LEASE)
        async for _ in self.poller.run(state):
            pass
        await accounts.release(self.pool, state)
        await self.look_up()

    async def look_up(self) -> None:
        while (await self.lookups.batch())[0]:
            pass

    async def hint(self, task_id: str) -> None:
        """A webhook says that there is something about a task."""
        await self.pool.execute(
            """
            INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at)
            VALUES ($1, $2, 'webhook', $3, $3)
            """,
            self.account,
            task_id,
            self.rig.clock.now(),
        )
        await self.look_up()

    async def events(self) -> list[str]:
        return [row["kind"] for row in await self.pool.fetch("SELECT kind FROM events ORDER BY id")]

    async def there(self) -> set[str]:
        """The tasks that are known and not gone."""
        rows = await self.pool.fetch("SELECT id FROM tasks WHERE deleted_at IS NULL")
        return {row["id"] for row in rows}

    async def error(self) -> str | None:
        error: str | None = await self.pool.fetchval("SELECT error FROM accounts")
        return error


@pytest.fixture(params=sorted(systems()))
async def watched(
    request: pytest.FixtureRequest, pool: Pool, clock: VirtualClock
) -> AsyncIterator[Watched]:
    """Each system in turn with twelve tasks, after the first sync, three tasks to a page."""
    async with rigged(request.param, clock) as rig:
        name, zones = rig.source.account.name, {rig.source.account.name: ZoneInfo("UTC")}
        await accounts.register(pool, {name: request.param}, clock.now())
        engine = Engine(Decider(Ruleset.empty(), zones, built_in()), zones, clock)
        poller = Poll(pool, engine, rig.source, clock)
        lookups = Lookups(pool, engine, rig.source, clock)
        made = Watched(rig, pool, poller, lookups, rig.make(12))
        await made.scan()
        yield made


@pytest.mark.parametrize("wrong", sorted(WRONGS))
async def test_a_list_that_goes_wrong_deletes_nothing(watched: Watched, wrong: str) -> None:
    """Whatever it does: every task stays, nothing is told, and afterwards all is as before."""
    watched.system.set_quirks(**WRONGS[wrong])
    for _ in range(2):
        await watched.scan()
    assert (await watched.there(), await watched.events()) == (set(watched.made), [])
    watched.system.quirks = Quirks()
    await watched.scan()
    assert (await watched.there(), await watched.events()) == (set(watched.made), [])
    assert await watched.error() is None


@pytest.mark.parametrize(
    "kind", [FaultKind.FAILED, FaultKind.TRUNCATED, FaultKind.PAGE, FaultKind.EMPTY]
)
async def test_a_page_that_fails_deletes_nothing(watched: Watched, kind: FaultKind) -> None:
    """One call of the scan goes wrong: what it did not come to is not missing."""
    watched.system.faults.set(Fault(kind))
    await watched.scan()
    assert (await watched.there(), await watched.events()) == (set(watched.made), [])


async def test_a_task_that_nests_too_deep_keeps_no_other_from_being_seen(watched: Watched) -> None:
    """Somebody has put 300 lists into each other for a title: the poll reads on."""
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    watched.system.tasks[watched.made[0]][watched.system.title] = deep
    watched.system.finish(watched.made[1])
    await watched.scan()
    assert "completed" in await watched.events()
    assert (await watched.there(), await watched.error()) == (set(watched.made), None)


async def test_a_token_that_lost_its_rights_deletes_nothing(watched: Watched) -> None:
    """Nothing is listed, nothing is there by id: the account says so, and recovers by itself."""
    watched.system.set_quirks(blind=True)
    await watched.scan()
    assert (await watched.there(), await watched.events()) == (set(watched.made), [])
    error = await watched.error() or ""
    assert "all 12 expected tasks are missing" in error
    assert f"taskbell accounts sync {watched.account} --believe" in error

    watched.system.set_quirks(blind=False)
    watched.system.finish(watched.made[0])
    await watched.scan()
    assert await watched.events() == ["completed"]
    assert await watched.error() is None


async def test_who_is_met_on_the_way_does_not_vouch(watched: Watched) -> None:
    """Tasks that nobody knew are listed, of those that are known none: nothing is deleted."""
    watched.system.tasks.clear()
    watched.rig.make(20)
    await watched.scan()
    assert await watched.events() == ["created"] * 20
    assert "all 12 expected tasks are missing" in (await watched.error() or "")


async def test_what_a_person_believes_is_deleted(watched: Watched) -> None:
    """All are really gone, and somebody has said so: each is a deletion, once."""
    for task_id in watched.made:
        watched.system.delete(task_id)
    await watched.scan()
    assert await watched.events() == []
    await canaries.believe(watched.pool, watched.account)
    for _ in range(2):
        await watched.scan()
    assert await watched.events() == ["deleted"] * 12
    assert await watched.error() is None
    assert not await watched.pool.fetchval("SELECT believed FROM accounts")


async def test_a_hint_is_not_believed_while_nothing_else_is_shown(watched: Watched) -> None:
    """Between two scans the token loses its rights: a webhook's task is not taken for deleted."""
    watched.system.set_quirks(blind=True)
    await watched.hint(watched.made[0])
    assert (await watched.there(), await watched.events()) == (set(watched.made), [])
    assert await watched.pool.fetchval("SELECT scan_asked_at FROM accounts") is not None
    assert "lost permissions" in await watched.pool.fetchval("SELECT error FROM lookups")

    watched.system.set_quirks(blind=False)
    watched.system.delete(watched.made[0])
    watched.rig.clock.advance(timedelta(minutes=1))
    await watched.look_up()
    assert await watched.events() == ["deleted"]


async def test_canaries_that_are_gone_are_replaced(watched: Watched) -> None:
    """All that were remembered are deleted at once: the next scan finds others to vouch."""
    known = await watched.pool.fetchval("SELECT canaries FROM accounts")
    for task_id in known:
        watched.system.delete(task_id)
    for task_id in known:
        await watched.hint(task_id)
    for _ in range(2):
        await watched.scan()
    assert await watched.events() == ["deleted"] * len(known)


async def test_a_few_tasks_may_all_be_gone(watched: Watched) -> None:
    """Of a handful the system's word is enough: a small office may finish and tidy up."""
    for few in (watched.made[8:], watched.made[4:8], watched.made[:4]):
        for task_id in few:
            watched.system.delete(task_id)
        await watched.scan()
    assert await watched.there() == set()
    assert await watched.events() == ["deleted"] * 12


async def test_a_deletion_is_confirmed_by_id_and_told_once(watched: Watched) -> None:
    """Only one page is listed: of what is missing, what is not there by id either is deleted."""
    gone = watched.made[:2]
    for task_id in gone:
        watched.system.delete(task_id)
    watched.system.set_quirks(ends_early=True, totalled=False)
    for _ in range(2):
        await watched.scan()
    assert await watched.events() == ["deleted"] * 2
    assert await watched.there() == set(watched.made) - set(gone)


async def test_deleted_restored_and_deleted_again(watched: Watched) -> None:
    """Each turn is told once, however often the list is read in between."""
    task_id = watched.made[0]
    kept = dict(watched.system.tasks[task_id])
    for _ in range(2):
        watched.system.delete(task_id)
        for _ in range(2):
            await watched.scan()
        watched.system.tasks[task_id] = dict(kept)
        for _ in range(2):
            await watched.scan()
    assert await watched.events() == ["deleted", "restored"] * 2


async def test_finished_reopened_and_finished_again(watched: Watched) -> None:
    """Each turn is told once, however often the list is read in between."""
    task_id = watched.made[0]
    for _ in range(2):
        watched.system.finish(task_id)
        await watched.scan()
        watched.system.reopen(task_id)
        await watched.scan()
        await watched.scan()
    assert await watched.events() == ["completed", "reopened"] * 2


async def test_what_is_archived_or_hidden_is_not_deleted(watched: Watched) -> None:
    """Two thirds of the list are gone, and are there by id: no event, but a word in the log."""
    hidden, shown = watched.made[:8], watched.made[8]
    watched.system.hidden.update(hidden)
    with capture_logs() as logs:
        for _ in range(2):
            await watched.scan()
    assert (await watched.there(), await watched.events()) == (set(watched.made), [])
    shrunk = [one for one in logs if one["event"] == "poll.list_shrank"]
    assert [(one["listed"], one["missing"]) for one in shrunk] == [(4, 8)] * 2

    watched.system.delete(hidden[0])
    watched.system.finish(hidden[1])
    watched.system.finish(shown)
    watched.system.hidden.clear()
    for _ in range(2):
        await watched.scan()
    assert sorted(await watched.events()) == ["completed", "completed", "deleted"]


async def test_what_moves_far_away_is_moved_and_not_deleted(watched: Watched) -> None:
    """A task goes to next year, where lists of some systems do not reach, and comes back."""
    task_id, now = watched.made[0], watched.rig.clock.now()
    for days in (300, 3):
        watched.system.change(task_id, **{watched.system.when: now + timedelta(days=days)})
        for _ in range(2):
            await watched.scan()
        assert task_id in await watched.there()
    assert await watched.events() == ["rescheduled"] * 2
