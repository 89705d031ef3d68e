"""What the demo's terminal says of each delivery."""

import asyncio
from datetime import timedelta

import pytest

from service.cli.output.demo import follow
from service.clock import SystemClock
from service.domain.model import Cause, Customer, Kind, State
from service.store import Pool
from tests.harness.history import plan, record
from tests.harness.tasks import task

PATIENCE = 10.0  # seconds


async def told(
    database_url: str,
    pool: Pool,
    capsys: pytest.CaptureFixture[str],
    state: State = State.SENT,
    **planned: str,
) -> str:
    """The line for a delivery about the gutters of Ida Smith that ended just now."""
    clock = SystemClock()
    about = task(title="Clean the gutters", customer=Customer(name="Ida Smith"))
    event = await record(pool, about, Kind.STARTING_SOON, at=clock.now(), cause=Cause.CLOCK)
    await plan(pool, event, state, **planned)
    following = asyncio.create_task(follow(database_url, as_json=False))
    try:
        async with asyncio.timeout(PATIENCE):
            while not (said := capsys.readouterr().out):
                later = clock.now() + timedelta(seconds=1)
                await pool.execute("UPDATE deliveries SET settled_at = $1", later)
                await asyncio.sleep(0.1)
    finally:
        following.cancel()
    return said.splitlines()[0]


async def test_a_message_in_the_systems_own_words_names_task_and_customer(
    database_url: str, pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rule's name would tell an office manager nothing."""
    line = await told(database_url, pool, capsys, channel="customer", target="on_the_way", text="")
    assert line.endswith(
        "customer:on_the_way  Clean the gutters for Ida Smith  (at the planned time)"
    )


async def test_a_mail_is_told_with_its_subject(
    database_url: str, pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text alone may not say what it is about; a line is never broken."""
    line = await told(
        database_url, pool, capsys, subject="Overdue: gutters " + "x" * 80, text="It was due"
    )
    assert line.endswith("x — It was due  (at the planned time)")


@pytest.mark.parametrize("reason", ["the task is done", "cancelled: the task is done"])
async def test_what_was_not_sent_says_so_once(
    database_url: str, pool: Pool, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    """A reason may begin with the state's own name."""
    line = await told(database_url, pool, capsys, State.CANCELLED, reason=reason)
    assert line.endswith("  (cancelled: the task is done)")
