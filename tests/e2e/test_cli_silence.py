"""`taskbell silence`, against a real database."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from service.model import Kind, State
from service.store import Pool
from tests import history
from tests.commands import Result, taskbell
from tests.tasks import SMITH, task

Command: TypeAlias = Callable[..., Awaitable[Result]]
WHY = ("--reason", "stocktaking")


@pytest.fixture
def command(tmp_path: Path, database_url: str) -> Command:
    """`taskbell silence`, in an empty folder, with this test's database."""

    async def run(*words: str) -> Result:
        return await taskbell(tmp_path, "silence", *words, DATABASE_URL=database_url)

    return run


async def test_it_is_added_listed_and_ended(command: Command, pool: Pool) -> None:
    """What it hides is told first; with --dry-run that is all."""
    event = await history.record(
        pool, task(customer=SMITH), Kind.COMPLETED, at=datetime.now(UTC) - timedelta(days=1)
    )
    await history.plan(pool, event, State.SENT)
    words = ("add", "--until", "2h", *WHY, "--customer", "smith")
    tried = await command(*words, "--dry-run")
    assert "hides 0 of what waits to go out now; of the last 30 days it would" in tried.out
    assert "would have hidden 1" in tried.out
    assert (await command("list")).out.strip() == "nothing is silenced"
    added = await command(*words, "--rule", "job-done", "--json")
    assert added.json["hides"] == {"pending": 0, "last_30_days": 1}
    [listed] = (await command("list", "--json")).json
    assert (listed["id"], listed["customer"], listed["rule"]) == (1, "smith", "job-done")
    assert "rule job-done, customer smith" in " ".join((await command("list")).out.split())
    assert (await command("expire", "1")).out.strip() == "silence 1 has ended"
    assert (await command("list")).out.strip() == "nothing is silenced"
    assert len((await command("list", "--all", "--json")).json) == 1
    again = await command("expire", "1")
    assert (again.code, "there is no silence 1 that is still on" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--until", "2h", *WHY), "say what is to be silent"),
        (("--until", "2020-01-01", *WHY, "--rule", "r"), "is over already"),
        (("--until", "soon", *WHY, "--rule", "r"), "neither a time such as"),
        (("--until", "2h", "--reason", " ", "--rule", "r"), "say why"),
        (("--until", "2h", "--rule", "r"), "--reason"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    command: Command, words: tuple[str, ...], says: str
) -> None:
    """Without a scope, an end or a reason there is no silence: exit code 2."""
    result = await command("add", *words)
    assert result.code == 2
    assert says in " ".join(result.err.replace("│", " ").split())
