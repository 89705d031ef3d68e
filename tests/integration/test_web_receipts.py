"""Keeping receipts: one commit for many, one row for each, and honest failures."""

import asyncio
from datetime import timedelta

import pytest

from service.clock import VirtualClock
from service.store import Pool, receipts
from service.store.receipts import Backlogged, NotKept, Receipt, ReceiptKeeper, body_key
from tests.harness.waiting import eventually


class Bell:
    """Counts how often it is rung, whoever it is for."""

    def __init__(self) -> None:
        self.rings = 0

    def __call__(self, account: str) -> None:
        del account
        self.rings += 1


def receipt(clock: VirtualClock, body: bytes, account: str = "london") -> Receipt:
    return Receipt((account, body_key(body)), body, {}, clock.now())


async def test_those_who_come_together_share_a_commit(pool: Pool, clock: VirtualClock) -> None:
    """A thousand receipts at once are a few batches, and the bell rings once for each."""
    bell = Bell()
    keeper = ReceiptKeeper(pool, bell)
    bodies = [b"%d" % number for number in range(1000)]
    ids = await asyncio.gather(*(keeper.keep(receipt(clock, body)) for body in bodies))
    commits = await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM receipts")
    assert commits == bell.rings == 2
    assert ids == sorted(ids)
    assert await pool.fetchval("SELECT count(*) FROM receipts") == 1000


async def test_equal_bodies_in_one_batch_are_one_receipt(pool: Pool, clock: VirtualClock) -> None:
    """Two senders with the same words at the same moment get the same number."""
    keeper = ReceiptKeeper(pool, Bell())
    same, also, other = await asyncio.gather(
        keeper.keep(receipt(clock, b"1")),
        keeper.keep(receipt(clock, b"1")),
        keeper.keep(receipt(clock, b"1", account="field")),
    )
    assert same == also != other


async def test_a_body_that_comes_again_is_looked_at_again(pool: Pool, clock: VirtualClock) -> None:
    """While it waits, a repeat is nothing new; after it was done it is set back and marked."""
    keeper = ReceiptKeeper(pool, Bell())
    number = await keeper.keep(receipt(clock, b"1"))
    assert await keeper.keep(receipt(clock, b"1")) == number
    assert await pool.fetchval("SELECT repeats FROM receipts") == 0
    await pool.execute("UPDATE receipts SET state = 'done', settled_at = received_at")
    clock.advance(timedelta(hours=1))
    assert await keeper.keep(receipt(clock, b"1")) == number
    [row] = await pool.fetch("SELECT state, repeats, received_at, settled_at FROM receipts")
    assert tuple(row) == ("pending", 1, clock.now(), None)


async def test_a_batch_that_meets_a_deadlock_is_kept_all_the_same(
    pool: Pool, clock: VirtualClock
) -> None:
    """A worker has one of two receipts and wants the other, which comes again with the first."""
    keeper = ReceiptKeeper(pool, Bell())
    both = [receipt(clock, b"1", account) for account in ("field", "london")]
    first, second = await asyncio.gather(*(keeper.keep(one) for one in both))
    await pool.execute("UPDATE receipts SET state = 'done', settled_at = received_at")
    async with pool.acquire() as worker, worker.transaction():
        await worker.execute("SET LOCAL deadlock_timeout = '1h'")  # not this one is to be ended
        await worker.execute("SELECT FROM receipts WHERE id = $1 FOR UPDATE", second)
        keeping = asyncio.gather(*(keeper.keep(one) for one in both))
        await eventually(lambda: pool.fetchval("SELECT true FROM pg_locks WHERE NOT granted"))
        await worker.execute("SELECT FROM receipts WHERE id = $1 FOR UPDATE", first)
    assert await keeping == [first, second]
    assert await pool.fetchval("SELECT count(*) FROM receipts WHERE state = 'pending'") == 2


async def test_what_was_set_aside_is_tried_again_when_it_comes_again(
    pool: Pool, clock: VirtualClock
) -> None:
    """What could not be read then may be readable now; a sender is not deaf-eared for ever."""
    keeper = ReceiptKeeper(pool, Bell())
    number = await keeper.keep(receipt(clock, b"1"))
    await pool.execute(
        "UPDATE receipts SET state = 'poison', reason = 'no id', acknowledged_at = received_at"
    )
    assert await keeper.keep(receipt(clock, b"1")) == number
    [row] = await pool.fetch("SELECT state, reason, acknowledged_at FROM receipts")
    assert tuple(row) == ("pending", None, None)


async def test_a_repeat_waits_for_whoever_has_it_in_hand(pool: Pool, clock: VirtualClock) -> None:
    """A hint that comes while its twin is being worked off leads to another look."""
    keeper = ReceiptKeeper(pool, Bell())
    await keeper.keep(receipt(clock, b"1"))
    async with pool.acquire() as worker, worker.transaction():
        await worker.execute("UPDATE receipts SET state = 'done'")
        again = asyncio.create_task(keeper.keep(receipt(clock, b"1")))
        await asyncio.sleep(0.05)
        assert not again.done()
    await again
    [row] = await pool.fetch("SELECT state, repeats FROM receipts")
    assert tuple(row) == ("pending", 1)


async def test_one_that_hangs_up_leaves_the_others(pool: Pool, clock: VirtualClock) -> None:
    """A sender that is gone before the commit takes nobody along, and its receipt is kept."""
    keeper = ReceiptKeeper(pool, Bell())
    gone = asyncio.create_task(keeper.keep(receipt(clock, b"1")))
    stays = asyncio.create_task(keeper.keep(receipt(clock, b"2")))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays > 0
    assert await pool.fetchval("SELECT count(*) FROM receipts") == 2


async def test_too_much_in_memory_is_refused(
    pool: Pool, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would not fit into memory is refused at once, and taken when there is room again."""
    monkeypatch.setattr(receipts, "BACKLOG_BYTES", 10)
    keeper = ReceiptKeeper(pool, Bell())
    first = asyncio.create_task(keeper.keep(receipt(clock, b"12345678")))
    await asyncio.sleep(0)
    with pytest.raises(Backlogged):
        await keeper.keep(receipt(clock, b"123"))
    await first
    await keeper.keep(receipt(clock, b"123"))


async def test_failure_is_told_to_everybody_who_waits(pool: Pool, clock: VirtualClock) -> None:
    """Where the table cannot be written, each sender is told, and the next attempt is a new one."""
    keeper = ReceiptKeeper(pool, Bell())
    await pool.execute("ALTER TABLE receipts RENAME TO away")
    bodies = (b"1", b"2")
    answers = await asyncio.gather(
        *(keeper.keep(receipt(clock, body)) for body in bodies), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [NotKept, NotKept]
    await pool.execute("ALTER TABLE away RENAME TO receipts")
    assert await keeper.keep(receipt(clock, b"1")) > 0


async def test_closing_answers_what_was_taken_in(pool: Pool, clock: VirtualClock) -> None:
    """A process that is told to stop finishes what its senders wait for."""
    keeper = ReceiptKeeper(pool, Bell())
    waiting = asyncio.create_task(keeper.keep(receipt(clock, b"1")))
    await asyncio.sleep(0)
    await keeper.close()
    assert waiting.done() or await waiting > 0


async def test_nobody_waits_for_ever(pool: Pool, clock: VirtualClock) -> None:
    """Whatever ends the writing, be it a shutdown, those who wait are told."""
    keeper = ReceiptKeeper(pool, Bell())
    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE receipts")
        waiting = asyncio.create_task(keeper.keep(receipt(clock, b"1")))
        await asyncio.sleep(0.05)
        for task in asyncio.all_tasks() - {asyncio.current_task(), waiting}:
            if "_flush_all" in repr(task):
                task.cancel()
        with pytest.raises(NotKept):
            await waiting
