"""Laws 8, 9, 13 and 15: customers at most once, others at least once, no end unexplained."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import State
from service.outbox import attempts, operator_actions
from service.outbox.claims import AttemptResult, Claim
from service.sandbox.faults import Fault, FaultKind
from service.settings import read_settings
from service.store import Pool
from tests.harness.corridor import Corridor, corridor, firm
from tests.harness.receivers import Answer
from tests.harness.waiting import eventually
from workers import retry
from workers.wiring import open_worker

RULES = """
- { id: tell, when: task.created, accounts: [field], then: [{ notify: customer:details }] }
- { id: book, when: task.created, accounts: [london], then: [{ notify: accounting }] }
"""
DAYS = timedelta(days=4)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that tells customers of Kickserv's visits, and accounting of Plannr's tasks."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def pass_days(taskbell: Corridor) -> None:
    """Everything that would happen by itself in the next four days happens."""
    for _ in range(16):
        await taskbell.lose_workers(hours=6)
        await taskbell.tick()
        await taskbell.deliver()


# Answers that do not say what was done; lines that break are in `test_laws_exchange.py`.
AMBIGUOUS = [FaultKind.FAILED_AFTER, FaultKind.TRUNCATED, FaultKind.UNAVAILABLE]


@pytest.mark.parametrize("kind", AMBIGUOUS)
async def test_law_8_an_unknown_outcome_is_never_retried(
    kind: FaultKind, taskbell: Corridor
) -> None:
    """The request went out and its answer is not clear: unknown, with a reason, for good."""
    taskbell.sandbox.kickserv.faults.set(Fault(kind, method="POST", seconds=30))
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    told = len(taskbell.told)
    assert await taskbell.states() == ["unknown"]
    await pass_days(taskbell)
    [delivery] = await taskbell.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("unknown", 1)
    assert "Check whether it arrived" in delivery["reason"]
    assert len(taskbell.told) == told <= 1


@pytest.mark.parametrize("kind", [FaultKind.THROTTLED, FaultKind.THROTTLED_UNTIL])
async def test_law_8_an_attempt_that_surely_sent_nothing_is_retried(
    kind: FaultKind, taskbell: Corridor
) -> None:
    """A refusal says that nothing was done: the customer is told when the pause is over."""
    taskbell.sandbox.kickserv.faults.set(Fault(kind, method="POST", seconds=60))
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    assert await taskbell.states() == ["planned"]
    taskbell.clock.advance(timedelta(minutes=2))
    await taskbell.restart(RULES)
    await taskbell.deliver()
    assert await taskbell.states() == ["sent"]
    assert taskbell.told == ["details"]


async def test_law_8_a_worker_that_died_while_sending_leaves_unknown(taskbell: Corridor) -> None:
    """The lease runs out, nobody sends it again, and whoever looks is told what to do."""
    await taskbell.webhook(taskbell.visit())
    [claim] = await taskbell.claim("account:field")
    await pass_days(taskbell)
    [delivery] = await taskbell.deliveries()
    assert (delivery["state"], delivery["id"]) == ("unknown", claim.id)
    assert "Taskbell was stopped while it sent this" in delivery["reason"]
    assert taskbell.told == []


async def test_law_8_a_late_answer_settles_what_was_unknown(taskbell: Corridor) -> None:
    """The process was only slow: what it learnt in the end counts."""
    await taskbell.webhook(taskbell.visit())
    [claim] = await taskbell.claim("account:field")
    await taskbell.lose_workers(minutes=5)
    assert await taskbell.states() == ["unknown"]
    await settle(taskbell, claim)
    assert await taskbell.states() == ["sent"]


async def settle(taskbell: Corridor, claim: Claim) -> None:
    sent = AttemptResult(claim, State.SENT, receipt={})
    await attempts.settle(taskbell.pool, [sent], taskbell.clock.now())


@pytest.mark.parametrize("lane", ["account:field", "accounting"])
async def test_law_8_a_refusal_is_recorded_once(lane: str, taskbell: Corridor) -> None:
    """The connection is lost with the commit: recorded again, it leaves the next attempt alone."""
    if lane == "accounting":
        await new_task(taskbell)
    else:
        await taskbell.webhook(taskbell.visit())
    [refused] = await taskbell.claim(lane)
    not_now = AttemptResult(
        refused, State.PLANNED, "busy", again_at=taskbell.clock.now(), is_unsent=True
    )
    await attempts.settle(taskbell.pool, [not_now], taskbell.clock.now())
    [under_way] = await taskbell.claim(lane)
    await attempts.settle(taskbell.pool, [not_now], taskbell.clock.now())
    assert await taskbell.states() == ["sending"]
    assert await taskbell.claim(lane) == []
    await settle(taskbell, under_way)
    assert await taskbell.states() == ["sent"]


async def test_law_8_a_late_answer_does_not_overrule_a_person(taskbell: Corridor) -> None:
    """What somebody resolved, or sent once more, is not changed by the first attempt's answer."""
    await taskbell.webhook(taskbell.visit())
    [claim] = await taskbell.claim("account:field")
    await taskbell.lose_workers(minutes=5)
    await operator_actions.resolve(
        taskbell.pool, taskbell.clock, claim.id, arrived=False, by=Actor("Ann")
    )
    await settle(taskbell, claim)
    assert await taskbell.states() == ["failed"]
    await operator_actions.retry(taskbell.pool, taskbell.clock, claim.id, by=Actor("Ann"))
    await settle(taskbell, claim)
    assert await taskbell.states() == ["planned"]
    await taskbell.deliver()
    assert await taskbell.states() == ["sent"]
    assert taskbell.told == ["details"]


@pytest.mark.parametrize("state", ["sent", "failed"])
async def test_law_8_a_person_resolves_an_unknown_outcome(state: str, taskbell: Corridor) -> None:
    """Whoever finds out whether the customer heard says so; nothing is sent by that."""
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.RESET_AFTER, method="POST"))
    await taskbell.webhook(taskbell.visit())
    await taskbell.deliver()
    [delivery] = await taskbell.deliveries()
    await operator_actions.resolve(
        taskbell.pool, taskbell.clock, delivery["id"], arrived=state == "sent", by=Actor("Ann")
    )
    await pass_days(taskbell)
    assert await taskbell.states() == [state]
    assert taskbell.told == ["details"]


async def test_law_8_two_workers_send_a_customer_message_once(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """However many lanes of an account are at work, each message is claimed by one."""
    # On a busy machine thirty calls at once may take a second each.
    async with corridor(folder, pool, clock, RULES, partial(firm, patience="30s")) as taskbell:
        await taskbell.begin()
        for _ in range(30):
            await taskbell.receive(taskbell.visit())
        await taskbell.ingest()
        await asyncio.gather(*(taskbell.deliver("account:field") for _ in range(4)))
        assert len(taskbell.told) == 30
        assert set(await taskbell.states()) == {"sent"}


async def new_task(taskbell: Corridor) -> None:
    await taskbell.webhook(taskbell.sandbox.plannr.make(), "london")


def keys(taskbell: Corridor) -> list[str]:
    return [request.headers["webhook-id"] for request in taskbell.accounting.requests]


UNSUCCESSFUL = [
    Answer(500),
    Answer(429, headers={"Retry-After": "7"}),
    Answer(302, headers={"Location": "/elsewhere"}),
]


@pytest.mark.parametrize("answer", UNSUCCESSFUL, ids=str)
async def test_law_9_sent_again_under_the_same_key(answer: Answer, taskbell: Corridor) -> None:
    """A failed attempt is followed by another with the same webhook-id, and that is the end."""
    taskbell.accounting.reply(answer)
    await new_task(taskbell)
    await taskbell.deliver()
    assert await taskbell.states() == ["planned"]
    [delivery] = await taskbell.deliveries()
    assert "will be tried again" in delivery["reason"]
    taskbell.clock.advance(timedelta(seconds=10))
    await taskbell.deliver()
    assert await taskbell.states() == ["sent"]
    assert set(keys(taskbell)) == {str(delivery["key"])}
    await pass_days(taskbell)
    assert len(taskbell.accounting.requests) <= 2


async def test_law_9_the_schedule_ends_with_a_reason(taskbell: Corridor) -> None:
    """Ten attempts, each when its time has come and not before; then it has failed."""
    taskbell.accounting.reply(*[Answer(500)] * 20)
    await new_task(taskbell)
    await taskbell.deliver()
    for number, pause in enumerate(retry.DELIVERY.pauses, 1):
        taskbell.clock.advance(pause * 0.79)
        await taskbell.deliver()
        assert len(taskbell.accounting.requests) == number
        taskbell.clock.advance(pause * 0.42)
        await taskbell.deliver()
        assert len(taskbell.accounting.requests) == number + 1
    [delivery] = await taskbell.deliveries()
    assert delivery["state"] == "failed"
    assert "given up after 10 attempts" in delivery["reason"]
    assert len(set(keys(taskbell))) == 1


async def test_law_9_a_worker_that_died_is_followed_by_another(taskbell: Corridor) -> None:
    """The lease runs out, and the message goes out with the key it had."""
    await new_task(taskbell)
    [claim] = await taskbell.claim("accounting")
    await taskbell.deliver()
    assert taskbell.accounting.requests == []
    await taskbell.lose_workers(seconds=21)
    await taskbell.deliver()
    assert keys(taskbell) == [claim.message.key]
    assert await taskbell.states() == ["sent"]


async def test_law_9_a_restart_keeps_the_key(taskbell: Corridor) -> None:
    """A new worker goes on where the old one was, in time and key."""
    taskbell.accounting.reply(Answer(500))
    await new_task(taskbell)
    await taskbell.deliver()
    await taskbell.restart(RULES)
    await taskbell.deliver()
    assert len(taskbell.accounting.requests) == 1
    taskbell.clock.advance(timedelta(seconds=10))
    await taskbell.deliver()
    first, second = keys(taskbell)
    assert first == second


async def test_law_13_a_channel_that_is_gone_is_a_reason(taskbell: Corridor) -> None:
    """What waits for an account that is not configured any more says so, after the roll-out."""
    await taskbell.webhook(taskbell.visit())
    await taskbell.tick(hours=2)
    await taskbell.restart(RULES, without="field")
    [delivery] = await taskbell.deliveries()
    assert delivery["state"] == "cancelled"
    assert "no longer in the configuration" in delivery["reason"]


async def test_law_15_a_slow_account_delays_no_other(
    pool: Pool, clock: VirtualClock, folder: Path, database_url: str
) -> None:
    """While Kickserv answers no call for seconds, Plannr's alarms still fire."""
    async with corridor(folder, pool, clock, RULES, partial(firm, patience="3s")) as taskbell:
        await taskbell.begin()
        for method in ("GET", "POST"):
            slow = Fault(FaultKind.SLOW, times=1000, method=method, seconds=30)
            taskbell.sandbox.kickserv.faults.set(slow)
        settings = read_settings({"DATABASE_URL": database_url})
        async with open_worker(settings, taskbell.config, clock) as running:
            for _ in range(20):
                await taskbell.receive(taskbell.visit())
                await taskbell.receive({"id": taskbell.visit()["id"]})
            clock.advance(timedelta(minutes=5))
            began = asyncio.get_running_loop().time()
            await running.tick()
            await running.sweep()
            await asyncio.sleep(0.3)  # by now everything of Kickserv's waits for it
            await taskbell.receive(taskbell.sandbox.plannr.make(), "london")
            await running.sweep()
            await eventually(taskbell.is_accounting_told)
            assert asyncio.get_running_loop().time() - began < 2
            assert taskbell.told == []


async def test_law_15_a_failing_account_delays_no_other(taskbell: Corridor) -> None:
    """One account's polls fail and its pauses grow; the other's go on as before."""
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    for _ in range(5):
        taskbell.clock.advance(timedelta(minutes=1, seconds=1))
        taskbell.sandbox.plannr.make()
        await taskbell.poll_what_is_due()
    assert await taskbell.events() == ["created by poll"] * 5
    rows = await taskbell.pool.fetch("SELECT name, failures, error FROM accounts ORDER BY name")
    assert [row["name"] for row in rows if row["failures"]] == ["field"]
    assert "failed (500)" in rows[0]["error"]
