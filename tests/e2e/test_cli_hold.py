"""`taskbell hold`, against a real database."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from service.domain.actors import Actor
from service.domain.model import Kind, State
from service.domain.operators.holds import Hold
from service.outbox import holds
from service.store import Pool
from tests.harness import history
from tests.harness.commands import Result, taskbell
from tests.harness.tasks import task

AT = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
HOSTILE = "\x1b[2J\x9b\u202e"
Command: TypeAlias = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell`, in an empty folder, with this test's database."""

    async def run(*words: str) -> Result:
        return await taskbell(tmp_path, *words, DATABASE_URL=database_url)

    return run


async def delivery(pool: Pool, state: State, hold: int | None = None) -> int:
    event = await history.record(pool, task(), Kind.COMPLETED, at=AT)
    number = await history.plan(pool, event, state)
    await pool.execute("UPDATE deliveries SET hold = $2 WHERE id = $1", number, hold)
    return number


async def test_customer_messages_are_held_shown_and_released(command: Command, pool: Pool) -> None:
    """Each step says what it did; what waited is due at once, and a second release does nothing."""
    begun = await command("hold", "on", "--until", "2035-03-09 17:00", "--reason", "moving house")
    assert (begun.code, begun.err) == (0, "")
    assert begun.out.startswith("Customer messages are on hold until Fri 09 Mar 2035, 17:00 ")
    number = await delivery(pool, State.HELD, hold=1)
    await pool.execute("UPDATE deliveries SET next_attempt_at = '2035-03-09'")
    shown = await command("hold", "status")
    assert "moving house" in shown.out
    [one] = (await command("hold", "status", "--json")).json
    assert (one["id"], one["held"], one["reason"]) == (1, 1, "moving house")
    assert (await command("hold", "off")).out == "hold 1 has ended; 1 message released\n"
    due = "SELECT next_attempt_at <= now() FROM deliveries WHERE id = $1"
    assert await pool.fetchval(due, number)
    assert (await command("hold", "off")).out == "no customer messages are on hold\n"
    assert (await command("hold", "off", "--json")).json == []
    assert (await command("hold", "status")).out == "no customer messages are on hold\n"
    rows = await pool.fetch("SELECT action, by FROM changes ORDER BY id")
    assert [row["action"] for row in rows] == ["hold.begun", "hold.released"]
    assert all("at the command line" in row["by"] for row in rows)


async def test_one_of_several_holds_can_be_released(command: Command, pool: Pool) -> None:
    """By its number; one that has ended, or never was, is exit code 1."""
    later = datetime.now(UTC) + timedelta(hours=1)
    for reason in ("one", HOSTILE):
        await holds.begin(pool, Hold(0, AT, later, reason, "Ann"), by=Actor("Ann"))
    assert "\x1b" not in (await command("hold", "status")).out
    assert (await command("hold", "off", "1", "--json")).json == [{"id": 1, "messages": 0}]
    again = await command("hold", "off", "1")
    assert (again.code, again.out) == (1, "")
    assert again.err == "someone has already released these messages\n"
    [left] = (await command("hold", "status", "--json")).json
    assert left["id"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing option '--until'"),
        (("--until", "1h"), "Missing option '--reason'"),
        (("--until", "soon", "--reason", "x"), "neither a time"),
        (("--until", "2020-01-01", "--reason", "x"), "is in the past"),
        (("--until", "1h", "--reason", " "), "give a reason"),
        (("--until", "1h", "--reason", HOSTILE), "give a reason"),
    ],
)
async def test_a_hold_that_is_wrong_is_exit_code_2(
    command: Command, pool: Pool, words: tuple[str, ...], said: str
) -> None:
    """It says what to write, also as JSON; nothing is held."""
    for flags in ((), ("--json",)):
        result = await command("hold", "on", *words, *flags)
        assert result.code == 2
        assert said in " ".join((result.err + result.out).replace("│", "").split())
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
