"""`taskbell accounts`: how they do, and what a person decides about them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from service.store.views import api_lists
from tests.harness.commands import Result, taskbell
from tests.harness.corridor import Corridor, corridor
from tests.harness.waiting import eventually

Command: TypeAlias = Callable[..., Coroutine[Any, Any, Result]]
RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell`, in an empty folder, with this test's database."""

    async def run(*words: str, **environ: str) -> Result:
        return await taskbell(tmp_path, *words, DATABASE_URL=database_url, **environ)

    return run


@pytest.fixture
async def running(pool: Pool, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that has not read anything, an hour ahead of what commands ask for."""
    clock = VirtualClock(datetime.now(UTC) + timedelta(hours=1))
    async with corridor(folder, pool, clock, RULES) as made:
        yield made


async def test_the_list_says_how_far_the_first_sync_is(command: Command, running: Corridor) -> None:
    """A count while it goes on, with the total where there is one."""
    for number, words in ((None, "12,400 tasks so far"), (200_000, "12,400 of 200,000 tasks")):
        await running.pool.execute(
            "UPDATE accounts SET scan_read = 12400, scan_total = $1 WHERE name = 'field'", number
        )
        listed = " ".join((await command("accounts", "list")).out.split())
        assert "first sync: " in listed
        assert words.split()[0] in listed
    as_json = (await command("accounts", "list", "--json")).json[0]
    assert (as_json["state"], as_json["scan_read"]) == ("baseline", 12400)


async def test_the_list_says_what_the_api_says(command: Command, running: Corridor) -> None:
    """One state, in the same words for scripts; beside it how many tasks there are."""
    running.visit()
    await running.poll()
    await command("accounts", "pause", "sales")
    await running.pool.execute("UPDATE accounts SET failing_since = $1", running.clock.now())
    listed = {one["id"]: one for one in (await command("accounts", "list", "--json")).json}
    for told in await api_lists.read_accounts(running.pool, running.clock.now()):
        own = listed[told["id"]]
        assert {name: own[name] for name in ("state", "error")} == {
            name: told[name] for name in ("state", "error")
        }
    assert {name: (one["state"], one["tasks"]) for name, one in listed.items()} == {
        "field": ("failing", 1),
        "london": ("failing", 0),
        "sales": ("paused", 0),
    }
    assert listed["sales"]["next_poll_at"] is None


async def test_the_list_says_below_why_an_account_fails(
    command: Command, running: Corridor
) -> None:
    """The reason is on a line of its own, which no column breaks into pieces."""
    running.sandbox.kickserv.faults.set(Fault(FaultKind.UNAUTHORIZED))
    await running.poll()
    *table, reason, waits = (await command("accounts", "list", COLUMNS="80")).out.splitlines()
    assert len(table) == 4
    assert any(re.match(r"field +kickserv +failing +0 +0 +\d+", line) for line in table)
    assert re.match(r"field, failing since \d\d \w{3} \d\d:\d\d UTC: GET ", reason)
    assert reason.endswith("refused the account's credentials (401): Unauthenticated.")
    assert re.match(
        r"field: The account has failed for too long, so time-based and combined ", waits
    )


async def test_each_thing_that_is_the_matter_has_a_line(
    command: Command, running: Corridor
) -> None:
    """What could not be read, and what came into sight: one below the other."""
    await running.pool.execute(
        """
        UPDATE accounts SET appeared = 7, appeared_at = $1, unread = 2, unread_example = 'x'
        WHERE name = 'field'
        """,
        datetime.now(UTC),
    )
    lines = (await command("accounts", "list")).out.splitlines()
    about = [line.split(": ")[1].split()[:2] for line in lines if line.startswith("field:")]
    assert about == [["2", "values"], ["7", "older"]]


async def test_the_list_says_which_accounts_are_read_anew(
    command: Command, running: Corridor
) -> None:
    """How far that is in the table, and below it what waits for it."""
    now = datetime.now(UTC)
    await running.pool.execute(
        """
        UPDATE accounts SET baseline_at = $1, scanned_at = $1, resumed_at = $2, stale_since = $2,
            scan_read = 12400 WHERE name = 'field'
        """,
        now - timedelta(hours=1),
        now,
    )
    listed = " ".join((await command("accounts", "list", COLUMNS="200")).out.split())
    assert "reading all tasks again: 12,400 tasks so far" in listed
    assert "It may have missed changes" in listed
    [field, *_] = (await command("accounts", "list", "--json")).json
    assert field["state"] == "ok"
    assert field["alarms_wait_until"] is not None


async def test_the_list_counts_what_webhooks_missed(command: Command, running: Corridor) -> None:
    """A person sees at which account the webhooks are broken."""
    await running.pool.execute("UPDATE accounts SET missed = 417 WHERE name = 'london'")
    listed = await command("accounts", "list")
    [london] = [line for line in listed.out.splitlines() if line.startswith("london")]
    assert "417" in london


async def test_sync_waits_until_everything_is_read(command: Command, running: Corridor) -> None:
    """It shows how far that is, and ends when a worker has read the account, not before."""
    sync = command("accounts", "sync", "field", "--wait", FORCE_COLOR="1")
    asked = asyncio.create_task(sync)

    async def is_asked() -> bool:
        return bool(await running.pool.fetchval("SELECT count(scan_asked_at) FROM accounts"))

    await eventually(is_asked)
    await running.pool.execute("UPDATE accounts SET scan_read = 12, scan_total = 150")
    await asyncio.sleep(1.2)
    assert not asked.done()
    await running.poll_what_is_due()
    result = await asked
    assert (result.code, result.out) == (0, "Taskbell has read all tasks of field\n")
    assert "12/150" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.err)


async def test_sync_ends_a_pause_that_the_system_asked_for(
    command: Command, running: Corridor
) -> None:
    """One answer with a senseless Retry-After is no reason to wait for a day."""
    await running.pool.execute(
        "INSERT INTO rate_limits (account, next_call_at, refused_until)"
        " VALUES ('field', now(), now() + interval '1 day')"
        " ON CONFLICT (account) DO UPDATE SET refused_until = excluded.refused_until"
    )
    assert (await command("accounts", "sync", "field")).code == 0
    assert await running.pool.fetchval("SELECT refused_until <= now() FROM rate_limits")


async def test_sync_says_why_it_failed(command: Command, running: Corridor) -> None:
    """In the words of the account's error, with exit code 1."""
    running.sandbox.kickserv.faults.set(Fault(FaultKind.UNAUTHORIZED, times=9))
    asked = asyncio.create_task(command("accounts", "sync", "field", "--wait"))

    async def is_asked() -> bool:
        return bool(await running.pool.fetchval("SELECT count(scan_asked_at) FROM accounts"))

    await eventually(is_asked)
    await asyncio.sleep(0.7)
    await running.poll_what_is_due()
    result = await asked
    assert result.code == 1
    assert "refused the account's credentials (401)" in result.err


async def test_pause_and_resume(command: Command, running: Corridor) -> None:
    """No restart is needed: whatever process works looks into the table."""
    paused = await command("accounts", "pause", "field")
    assert paused.out.startswith("field is paused. Taskbell does not contact its system.")
    assert "paused" in (await command("accounts", "list")).out
    synced = await command("accounts", "sync", "field")
    assert synced.code == 1
    assert "`taskbell accounts resume field` reads all its tasks." in synced.err
    await running.poll_what_is_due()
    assert (
        await running.pool.fetchval("SELECT polled_at FROM accounts WHERE name = 'field'") is None
    )
    resumed = await command("accounts", "resume", "field", "--json")
    assert resumed.json == {"account": "field", "paused": False}
    await running.poll_what_is_due()
    assert await running.pool.fetchval("SELECT scanned_at FROM accounts WHERE name = 'field'")
    again = await command("accounts", "resume", "field")
    assert again.out == "field was not paused\n"


@pytest.mark.parametrize("verb", ["pause", "resume", "sync"])
async def test_an_account_that_is_not_there(command: Command, verb: str) -> None:
    """A misspelt name changes nothing and says where the names are."""
    result = await command("accounts", verb, "filed")
    assert result.code == 1
    assert "there is no account filed; see `taskbell accounts list`" in result.err
