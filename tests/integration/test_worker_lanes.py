"""How a lane keeps its promises while some messages take long, and when the worker is stopped."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.model import State
from service.outbox.claims import AttemptResult, Claim
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from tests.conftest import only_reading
from tests.harness.corridor import Corridor, corridor, firm
from tests.harness.receivers import Answer
from tests.harness.waiting import eventually
from workers.in_flight import InFlight

RULES = """
- { id: tell, when: task.created, accounts: [field], then: [{ notify: customer:details }] }
- { id: book, when: task.created, accounts: [london], then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def test_an_answer_is_written_down_while_others_are_awaited(taskbell: Corridor) -> None:
    """One receiver hangs; the message beside it is settled long before that one gives up."""
    lane = taskbell.worker.lanes["accounting"]
    taskbell.accounting.reply(Answer(delay=30), Answer(204))
    for _ in range(2):
        await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    await lane.batch()

    async def one_is_sent() -> bool:
        return sorted(await taskbell.states()) == ["sending", "sent"]

    await eventually(one_is_sent)
    await lane.finish(within=0)


async def test_a_stop_leaves_no_doubt_about_what_was_being_sent(taskbell: Corridor) -> None:
    """What was broken off is unknown where it reaches a customer, and planned again elsewhere."""
    taskbell.accounting.reply(Answer(delay=30))
    slow = Fault(FaultKind.SLOW, method="POST", seconds=5)
    taskbell.sandbox.kickserv.faults.set(slow)
    await taskbell.webhook(taskbell.visit())
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    lanes = [taskbell.worker.lanes[name] for name in ("account:field", "accounting")]
    for lane in lanes:
        assert await lane.batch()
    await eventually(lambda: taskbell.accounting.requests and not slow.times)
    for lane in lanes:
        await lane.finish(within=0)
    assert await taskbell.states("tell") == ["unknown"]
    assert await taskbell.states("book") == ["planned"]
    [told] = await taskbell.deliveries("tell")
    assert "stopped while it waited for an answer" in told["reason"]


@pytest.mark.parametrize("within", [0.0, 5.0])
async def test_a_stop_gives_back_what_was_only_waiting(within: float, taskbell: Corridor) -> None:
    """What was claimed and not begun is planned for now, and the next worker sends it once."""
    lane = taskbell.worker.lanes["accounting"]
    width = lane._width._value
    taskbell.accounting.reply(*[Answer(delay=30)] * width)
    for _ in range(width + 3):
        await taskbell.receive(taskbell.sandbox.plannr.make(), "london")
    await taskbell.ingest()
    await lane.batch()
    await eventually(lambda: len(taskbell.accounting.requests) == width)
    await lane.finish(within)
    given_back = [
        one
        for one in await taskbell.deliveries()
        if "before the message was sent" in (one["reason"] or "")
    ]
    assert len(given_back) == 3
    assert {one["next_attempt_at"] for one in given_back} == {taskbell.clock.now()}


async def test_a_stop_gives_back_what_waits_for_its_account(taskbell: Corridor) -> None:
    """The system allows no call yet: nothing was said to anybody, and nobody has to look."""
    await taskbell.webhook(taskbell.visit())
    soon = taskbell.clock.now() + timedelta(minutes=1)
    await taskbell.pool.execute(
        "UPDATE rate_limits SET next_call_at = $1, first_call_at = $1", soon
    )
    lane = taskbell.worker.lanes["account:field"]
    await lane.batch()
    await asyncio.sleep(0.1)
    await lane.finish(within=0)
    assert await taskbell.states() == ["planned"]
    assert taskbell.told == []


async def test_a_lane_that_is_stopped_claims_nothing(taskbell: Corridor) -> None:
    """What becomes due after the stop is left for the next worker."""
    lane = taskbell.worker.lanes["accounting"]
    await lane.finish(within=0)
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    assert not await lane.batch()
    assert await taskbell.states() == ["planned"]


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b"])
async def test_an_answer_that_no_table_can_hold_blocks_nothing(
    odd: str, taskbell: Corridor
) -> None:
    """Odd characters in what the other side said cost that answer its details, others nothing."""
    claims = await claimed(taskbell, 2)
    ledger = ledger_of(taskbell, capacity=2, worth_claiming=1)
    ledger.enter(claims)
    for claim, text in zip(claims, (odd, "c"), strict=True):
        ledger.answer(AttemptResult(claim, State.SENT, receipt={"id": text}))
    async with asyncio.timeout(5):
        await ledger.empty()
    assert await taskbell.states() == ["sent", "sent"]
    first, second = await taskbell.deliveries()
    assert "cannot be stored" in first["reason"]
    assert second["receipt"] == '{"id": "c"}'


async def test_an_answer_outlives_a_database_that_only_reads(
    taskbell: Corridor, database_url: str
) -> None:
    """During a failover nothing can be written for a while; the answer is kept until it can."""
    claims = await claimed(taskbell, 1)
    ledger = ledger_of(taskbell, capacity=1, worth_claiming=1)
    async with only_reading(database_url):
        ledger.enter(claims)
        ledger.answer(AttemptResult(claims[0], State.SENT))
        await asyncio.sleep(0.2)
    async with asyncio.timeout(5):
        await ledger.empty()
    assert await taskbell.states() == ["sent"]


async def test_a_lease_that_could_not_be_renewed_is_renewed_soon(
    taskbell: Corridor, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when the next is due: by then others might take the process for dead."""
    monkeypatch.setattr("workers.in_flight.LEASE", timedelta(seconds=9))
    claims = await claimed(taskbell, 1)
    ledger = ledger_of(taskbell, capacity=1, worth_claiming=1)
    [before] = await taskbell.deliveries()
    taskbell.clock.advance(timedelta(seconds=5))
    async with only_reading(database_url):
        ledger.enter(claims)
        await asyncio.sleep(3.3)

    async def is_renewed() -> bool:
        [delivery] = await taskbell.deliveries()
        return bool(delivery["lease_until"] > before["lease_until"])

    await eventually(is_renewed, within=2)
    ledger.answer(AttemptResult(claims[0], State.SENT))
    await ledger.empty()


async def test_there_is_room_again_when_claiming_is_worth_while(taskbell: Corridor) -> None:
    """A full ledger waits until enough of what is in hand is written down."""
    claims = await claimed(taskbell, 3)
    ledger = ledger_of(taskbell, capacity=3, worth_claiming=2)
    ledger.enter(claims)
    room = asyncio.create_task(ledger.room())
    ledger.answer(AttemptResult(claims[0], State.SENT))
    await asyncio.sleep(0.1)
    assert not room.done()
    for claim in claims[1:]:
        ledger.answer(AttemptResult(claim, State.SENT))
    assert await room == 3


def ledger_of(taskbell: Corridor, *, capacity: int, worth_claiming: int) -> InFlight:
    """Of which nobody wants to know what it has stored."""
    return InFlight(
        "accounting", taskbell.pool, taskbell.clock, capacity, worth_claiming, lambda _: None
    )


async def claimed(taskbell: Corridor, count: int) -> list[Claim]:
    """That many deliveries to accounting, planned and claimed."""
    for _ in range(count):
        await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    return await taskbell.claim("accounting", count)


async def test_a_rewrite_waits_for_what_it_rewrites(taskbell: Corridor) -> None:
    """It is not claimed while the original is planned or being sent, and it is afterwards."""
    for _ in range(2):
        await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")
    first, second = await taskbell.deliveries()
    await taskbell.pool.execute(
        "UPDATE deliveries SET updates = $1 WHERE id = $2", first["id"], second["id"]
    )
    lane = taskbell.worker.lanes["accounting"]
    assert await lane.batch()
    assert not await lane.batch()
    await lane.rest()
    assert await lane.batch()
    await lane.rest()
    assert await taskbell.states() == ["sent", "sent"]


BUSY = """
- { id: tell, when: task.created, then: [{ notify: customer:on_the_way }] }
- { id: bill, when: task.completed,
    then: [{ create_task: { title: "Bill {{ task.title }}", type: invoice } }] }
"""


def slow_account(url: str) -> str:
    """Kickserv with thirty calls a minute."""
    return (
        firm(url).partition("\n")[0].replace("per_minute: 100000", "per_minute: 30")
        + (firm(url).partition("\n")[2].partition("\n  london")[0])
    )


async def test_no_customer_waits_behind_what_is_written(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A hundred invoices are to be made, at thirty calls a minute; a customer is told at once."""
    async with corridor(folder, pool, clock, BUSY, slow_account) as taskbell:
        visits = [taskbell.visit() for _ in range(100)]
        await taskbell.begin()
        for visit in visits:
            await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
        writing = taskbell.worker.lanes["writes:field"]
        await writing.batch()
        await asyncio.sleep(0.1)
        soon = clock.now() + timedelta(minutes=1)
        await pool.execute("UPDATE rate_limits SET next_call_at = $1", soon)
        await taskbell.webhook(taskbell.visit())
        began = asyncio.get_running_loop().time()
        await taskbell.deliver("account:field")
        assert taskbell.told == ["on_the_way"]
        assert asyncio.get_running_loop().time() - began < 2
        await writing.finish(within=0)
