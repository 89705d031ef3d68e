"""`taskbell outbox cancel` for one delivery and for many, and its errors as JSON."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest

from service.domain.model import Kind, State
from service.store import Pool
from tests.harness import history
from tests.harness.commands import Result, taskbell
from tests.harness.tasks import task

AT = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
Command: TypeAlias = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell`, in an empty folder, with this test's database."""

    async def run(*words: str) -> Result:
        return await taskbell(tmp_path, *words, DATABASE_URL=database_url)

    return run


async def delivery(pool: Pool, state: State) -> int:
    event = await history.record(pool, task(), Kind.COMPLETED, at=AT)
    return await history.plan(pool, event, state)


async def test_many_failures_are_dismissed_at_once(command: Command, pool: Pool) -> None:
    """The command first says how many; without --yes someone must agree, and nobody does here."""
    for state in (State.FAILED, State.FAILED, State.PLANNED):
        await delivery(pool, state)
    words = ["outbox", "cancel", "--state", "failed", "--channel", "slack", "--since", "2020-01-01"]
    asked = await command(*words)
    assert asked.code == 1
    assert "2 deliveries, none to customers. Dismiss them? They stay failed." in asked.err
    assert (
        await pool.fetchval("SELECT count(*) FROM deliveries WHERE acknowledged_at > $1", AT) == 0
    )
    unasked = await command(*words, "--json")
    assert unasked.json == {"error": "aborted: nothing was changed"}
    done = await command(*words, "--yes")
    assert (done.code, done.out) == (0, "2 deliveries, none to customers: need no more attention\n")
    rows = await pool.fetch("SELECT state, acknowledged_at FROM deliveries ORDER BY id")
    assert [row["state"] for row in rows] == ["failed", "failed", "planned"]
    assert [row["acknowledged_at"] is not None for row in rows] == [True, True, False]
    assert (await command(*words, "--json")).json == {"count": 0, "customers": 0}


async def test_the_end_of_the_period_is_told_as_well(command: Command, pool: Pool) -> None:
    """What failed earlier can be chosen without what failed since."""
    await delivery(pool, State.FAILED)
    words = ("outbox", "retry", "--state", "failed", "--yes", "--json")
    period = ("--since", "2026-03-06T00:00+00:00", "--until")
    assert (await command(*words, *period, AT.isoformat())).json["count"] == 0
    assert (await command(*words, *period, "2026-03-06T12:01+00:00")).json["count"] == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "--state for many"),
        (("1", "--state", "failed"), 2, "--state for many"),
        (("--webhook",), 2, "--state for many"),
        (("--state", "failed", "--reason", "x"), 2, "--reason is for one delivery"),
        (("--state", "failed", "--rule", ""), 2, "--rule is empty"),
        (("--state", "planned"), 1, "this can be done to messages that are failed"),
        (("99",), 1, "there is no delivery 99"),
    ],
)
async def test_a_wrong_cancel_is_told_as_json(
    command: Command, words: tuple[str, ...], code: int, said: str
) -> None:
    """With the same exit code as without --json, and nothing on standard error."""
    plain = await command("outbox", "cancel", *words)
    assert (plain.code, plain.out) == (code, "")
    result = await command("outbox", "cancel", *words, "--json")
    assert (result.code, result.err) == (code, "")
    assert said in result.json["error"]
