"""Webhooks are claimed as they are placed, and go out right after the commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.channels import Message
from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.contacts import keys_in
from service.domain.model import JSON_OPTIONS, Task
from service.domain.operators.overrides import Mode
from service.domain.operators.silences import Silence
from service.outbox import destinations, silences
from service.outbox.claims import Claim
from service.outbox.destinations import LaneOutage
from service.outbox.gates import Candidate
from service.settings import read_settings
from service.store import Pool
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer
from tests.harness.waiting import eventually
from workers.wiring import open_worker

RULES = "- { id: book, when: task.created, then: [{ notify: accounting, text: New }] }"
ANN = Actor("Ann")
NOTHING = Message("", "", "", "", "", "", "", "", datetime(2026, 1, 1, tzinfo=UTC))
NOBODY = Candidate(0, ("", ""), "", "", "", lambda: None)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        running.claims_directly = True
        await running.restart(RULES)
        await running.begin("london", "field")
        yield running
        for lane in running.worker.lanes.values():
            await lane.rest()


async def come(taskbell: Corridor, count: int = 1) -> list[frozenset[str]]:
    """So many webhooks come in and are read together; returns which lanes were woken up."""
    for _ in range(count):
        await taskbell.receive(taskbell.sandbox.plannr.make(), "london")
    woken = []
    while (done := await taskbell.worker.ingests["london"].batch()).count:
        for lane, claims in done.claims.items():
            taskbell.worker.lanes[lane].begin(claims)
        woken.append(done.lanes)
    return woken


async def test_a_webhook_to_a_customer_is_claimed(taskbell: Corridor) -> None:
    """Its address is the customer's: the message is checked with the system, and counted."""
    rules = RULES.replace("accounting", '"accounting:{{ task.customer.email }}"')
    await taskbell.restart(f"{rules}\ncontacts: {{ at_most: {{ per_day: 1 }} }}")
    ida = {"id": 7, "name": "Ida", "email": "ida@c.test"}
    for _ in range(2):
        await taskbell.webhook(taskbell.visit(customer=ida))
        assert "sending" not in await taskbell.states()
        await taskbell.deliver("accounting")
    assert len(taskbell.accounting.requests) == 1
    assert await taskbell.states() == ["sent", "held"]


async def test_a_webhook_goes_out_without_being_claimed(taskbell: Corridor) -> None:
    """Nobody is woken up and asks the database: it is sent, and counts as the first attempt."""
    assert await come(taskbell) == [frozenset()]
    await eventually(taskbell.is_everything_sent)
    [request], [delivery] = taskbell.accounting.requests, await taskbell.deliveries()
    assert request.headers["webhook-id"] == str(delivery["key"])
    assert (delivery["attempts"], delivery["unsent"]) == (1, 0)
    [tried] = await taskbell.pool.fetch("SELECT number, outcome FROM attempts")
    assert tuple(tried) == (1, "sent")


LATE = "- { id: late, when: task.overdue, then: [{ notify: accounting, text: Late }] }"


@pytest.mark.parametrize(
    "rules",
    [
        RULES,
        RULES.replace("New", '"*{{ task.title }}* is new"'),
        RULES.replace("then:", "expires: 2h, once_per: [task.id], then:"),
        RULES.replace("New", 'New, on_fail: [{ notify: "slack:#office", text: Failed }]'),
        LATE + "\n" + RULES.replace("then:", "muted_by: { rule: late, same: [task.id] }, then:"),
    ],
)
async def test_the_claim_is_the_same_as_any(taskbell: Corridor, rules: str) -> None:
    """What is made of the request is what would have been read from the database."""
    await taskbell.restart(rules)
    task = taskbell.sandbox.plannr.make(name="Pension", due_at="2031-01-01 09:00:00")
    await taskbell.receive(task, "london")
    done = await taskbell.worker.ingests["london"].batch()
    [direct] = done.claims["accounting"]
    await taskbell.pool.execute("UPDATE deliveries SET state = 'planned', attempts = 0")
    await taskbell.pool.execute("UPDATE deliveries SET next_attempt_at = $1", taskbell.clock.now())
    [claimed] = await taskbell.claim("accounting")
    assert shown(direct) == shown(claimed)


def shown(claim: Claim) -> tuple[Claim, Candidate, Task | None, bytes]:
    """A claim in parts that can be compared."""
    message = {name: getattr(claim.message, name) for name in Message.__dataclass_fields__}
    message["others"] = sorted(claim.message.others)
    text = orjson.dumps(message, option=JSON_OPTIONS)
    candidate, task = claim.candidate, claim.candidate.decided_task()
    bare = replace(claim, message=replace(NOTHING, key=claim.message.key), candidate=NOBODY)
    return bare, replace(candidate, decided_task=NOBODY.decided_task), task, text


async def test_a_failed_attempt_is_made_again(taskbell: Corridor) -> None:
    """With the same key, by the usual schedule."""
    taskbell.accounting.reply(Answer(500))
    await come(taskbell)
    await eventually(lambda: taskbell.accounting.requests)
    await taskbell.worker.lanes["accounting"].rest()
    assert await taskbell.states() == ["planned"]
    await taskbell.tick(minutes=1)
    await taskbell.deliver("accounting")
    first, second = (one.headers["webhook-id"] for one in taskbell.accounting.requests)
    assert first == second
    assert await taskbell.states() == ["sent"]


async def test_a_process_that_dies_after_the_commit_loses_nothing(taskbell: Corridor) -> None:
    """Nothing was sent yet: another process sends it once its lease has expired."""
    await taskbell.receive(taskbell.sandbox.plannr.make(), "london")
    done = await taskbell.worker.ingests["london"].batch()
    assert list(done.claims) == ["accounting"]
    assert await taskbell.states() == ["sending"]
    await taskbell.deliver("accounting")
    assert taskbell.accounting.requests == []
    await taskbell.lose_workers(minutes=1)
    await taskbell.deliver("accounting")
    assert len(taskbell.accounting.requests) == 1
    assert await taskbell.states() == ["sent"]


async def test_what_is_rolled_back_is_not_sent(taskbell: Corridor) -> None:
    """One receipt breaks the transaction of all: the others are read again, and told once each."""
    await taskbell.pool.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.snapshot ->> 'title' = 'breaks' THEN RAISE data_exception; END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER refusing BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION refuse();
        """
    )
    for title in ("one", "two", "breaks", "three"):
        await taskbell.receive(taskbell.sandbox.plannr.make(name=title), "london")
    await come(taskbell, count=0)
    await eventually(lambda: len(taskbell.accounting.requests) == 3)
    await eventually(taskbell.is_everything_sent)
    told = {one.json["data"]["task"]["title"] for one in taskbell.accounting.requests}
    assert told == {"one", "two", "three"}


async def test_a_duplicate_is_not_sent(taskbell: Corridor) -> None:
    """`once_per` counts what is being sent."""
    rules = RULES.replace("then:", "once_per: [task.type], then:")
    await taskbell.restart(rules)
    await come(taskbell, count=2)
    await come(taskbell)
    await eventually(taskbell.is_everything_sent)
    assert len(taskbell.accounting.requests) == 1


async def test_a_stopping_lane_gives_it_back(taskbell: Corridor) -> None:
    """The transaction ended after the lane was stopped: the next process sends it at once."""
    await taskbell.receive(taskbell.sandbox.plannr.make(), "london")
    done = await taskbell.worker.ingests["london"].batch()
    lane = taskbell.worker.lanes["accounting"]
    await lane.finish(within=0)
    lane.begin(done.claims["accounting"])
    await lane.rest()
    assert taskbell.accounting.requests == []
    [delivery] = await taskbell.deliveries()
    assert (delivery["state"], delivery["next_attempt_at"]) == ("planned", taskbell.clock.now())
    assert await come(taskbell) == [frozenset({"accounting"})]


async def test_a_worker_that_ends_gives_back_what_it_claims_last(
    taskbell: Corridor, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction was still open: the next process need not wait until the lease expires."""
    monkeypatch.setattr("workers.in_flight._GATHERING", 0.5)  # as in a busy process
    blocked = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    settings = read_settings({"DATABASE_URL": database_url})
    async with taskbell.pool.acquire() as other, AsyncExitStack() as stack:
        worker = open_worker(settings, taskbell.config, taskbell.clock)
        running = await stack.enter_async_context(worker)
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE decisions IN EXCLUSIVE MODE")
        await taskbell.receive(taskbell.sandbox.plannr.make(), "london")
        await running.sweep()
        await eventually(lambda: taskbell.pool.fetchval(blocked))
        ending = asyncio.create_task(stack.aclose())
        await asyncio.sleep(0.2)  # by now the lanes have ended
        await transaction.rollback()
        await ending
    assert taskbell.accounting.requests == []
    assert await taskbell.states() == ["planned"]


async def test_a_fixed_address_that_wants_nothing_gets_nothing(taskbell: Corridor) -> None:
    """It belongs to no customer that is known; what was chosen for it counts all the same."""
    await taskbell.restart(RULES.replace("accounting", '"accounting:ida@c.test"'))
    keys, now = keys_in("ida@c.test"), taskbell.clock.now()
    await contact_choices.choose(
        taskbell.pool, keys, wants=False, by=ANN, through=Through.PAGE, now=now
    )
    await come(taskbell)
    await taskbell.deliver("accounting")
    assert taskbell.accounting.requests == []
    assert await taskbell.states() == ["skipped"]


async def test_only_some_of_a_batch_goes_this_way(taskbell: Corridor) -> None:
    """A rule with a post to Slack and a webhook: the lane of the post is woken up for it."""
    await taskbell.restart(RULES.replace("[{", '[{ notify: "slack:#office", text: New }, {'))
    assert await come(taskbell, count=2) == [frozenset({"slack"})]
    await eventually(lambda: len(taskbell.accounting.requests) == 2)
    await taskbell.deliver("slack")
    assert len(taskbell.posts) == 2
    await eventually(taskbell.is_everything_sent)


async def test_what_another_message_mutes_is_not_sent(taskbell: Corridor) -> None:
    """The task is late, which was said; that it has changed is not said as well."""
    echo = (
        "- { id: echo, when: task.changed, muted_by: { rule: late, same: [task.id] },"
        " then: [{ notify: accounting, text: Changed }] }"
    )
    await taskbell.restart(f"{LATE}\n{echo}")
    due = taskbell.clock.now() + timedelta(minutes=5)
    task = taskbell.sandbox.plannr.make(due_at=due.strftime("%Y-%m-%d %H:%M:%S"))
    await taskbell.webhook(task, "london")
    await taskbell.poll("london", full=True)
    await taskbell.tick(hours=8)
    await taskbell.poll("london", full=True)
    await taskbell.tick(minutes=1)
    await taskbell.deliver("accounting")
    assert await taskbell.states("late") == ["sent"]
    await taskbell.webhook(taskbell.sandbox.plannr.change(task["uuid"], priority="low"), "london")
    await taskbell.deliver("accounting")
    assert await taskbell.states("echo") == ["skipped"]


async def test_no_lane_that_looks_at_each_message_takes_any(taskbell: Corridor) -> None:
    """Not those that reach customers, that look for earlier attempts, or that keep a pace."""
    taskbell.head["accounting_options"] = "rate: 100/s"
    await taskbell.restart(RULES)
    assert {name: one.direct_room for name, one in taskbell.worker.lanes.items()} == {
        **dict.fromkeys(taskbell.worker.lanes, 0),
        "mail": taskbell.worker.lanes["mail"].direct_room,
    }


async def test_no_more_than_a_lane_can_send(taskbell: Corridor) -> None:
    """The rest waits to be claimed, by whichever process is free, and its lane is woken up."""
    lane = taskbell.worker.lanes["accounting"]
    room = lane.direct_room
    taskbell.accounting.reply(*[Answer(delay=2)] * room)
    woken = await come(taskbell, count=room + 3)
    states = await taskbell.states()
    assert (states.count("sending"), states.count("planned")) == (room, 3)
    assert woken[-1] == {"accounting"}
    assert lane.direct_room == 0


async def silenced(taskbell: Corridor) -> None:
    now = taskbell.clock.now()
    one = Silence(0, now, now + timedelta(hours=1), "stocktaking", rule="book")
    await silences.add(taskbell.pool, one, by=ANN)


async def switched_off(taskbell: Corridor) -> None:
    await taskbell.switch("book", Mode.OFF)


async def on_trial(taskbell: Corridor) -> None:
    await taskbell.switch("book", Mode.TRIAL)


async def paused_target(taskbell: Corridor) -> None:
    until = taskbell.clock.now() + timedelta(minutes=1)
    await taskbell.pool.execute(
        "INSERT INTO target_turns (lane, target, turn) VALUES ('accounting', '', $1)", until
    )


async def failing_lane(taskbell: Corridor) -> None:
    now = taskbell.clock.now()
    outage = LaneOutage(now, "down", now + timedelta(minutes=1), 0)
    await destinations.begin_outage(taskbell.pool, "accounting", outage)
    taskbell.worker.lanes["accounting"].learn(outage)


@pytest.mark.parametrize(
    ("decide", "state"),
    [
        (silenced, "skipped"),
        (switched_off, "cancelled"),
        (on_trial, "skipped"),
        (paused_target, "planned"),
        (failing_lane, "planned"),
    ],
)
async def test_what_stops_a_message_stops_it_here_too(
    taskbell: Corridor, decide: Any, state: str
) -> None:
    """Decided while the rule was loaded: it is not sent, and the claim says why."""
    await decide(taskbell)
    await come(taskbell)
    await taskbell.deliver("accounting")
    assert taskbell.accounting.requests == []
    assert await taskbell.states() == [state]


@pytest.mark.parametrize(
    "rules",
    [
        RULES.replace("then:", "until: task.done, then:"),
        RULES.replace("then: [", "then: [wait: 1h, "),
        RULES.replace("then:", "enabled: shadow, then:"),
        RULES.replace("text: New", 'text: New, approve: "slack:#office"'),
        RULES.replace("text: New", "text: New, buttons: [acknowledge]"),
        RULES.replace("accounting,", '"slack:#office",'),
        RULES.replace("accounting,", '"mail:bo@x.test", subject: New,'),
    ],
)
async def test_what_may_have_to_wait_is_planned(taskbell: Corridor, rules: str) -> None:
    """What needs a person, other hours, or a look at other messages goes the usual way."""
    await taskbell.restart(rules)
    await come(taskbell)
    assert "sending" not in await taskbell.states()
    assert taskbell.accounting.requests == []
