"""Somebody has a message sent again later, from its page or by the API."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Kind, Person, State
from service.outbox import NoSuchDelivery, NotPossible
from service.outbox.operator_actions import snoozing
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from service.store.operators import answers
from tests.harness.corridor import Corridor, corridor
from tests.harness.history import know, plan, record
from tests.harness.site import Site, serving
from tests.harness.tasks import SMITH, START, task

RULES = """
- id: open
  when: task.created
  accounts: [field]
  then: [{ notify: "slack:#office", text: "New: {{ task.title }}" }]
  escalate: [{ notify: "slack:#dispatch", after: 2h, text: "Nobody has it" }]
"""
HOUR = timedelta(hours=1)
ANN = Actor("Ann")


@pytest.fixture
async def taskbell(folder: Path, pool: Pool, clock: VirtualClock) -> AsyncIterator[Corridor]:
    """A firm whose office is told of new visits."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


@pytest.fixture
async def web(
    taskbell: Corridor, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with serving(taskbell.config, pool, clock, valkey.url) as running:
        yield running


async def told(taskbell: Corridor) -> int:
    """The office is told of a new visit; returns the number of the message."""
    await taskbell.webhook(taskbell.visit(name="Leak"))
    await taskbell.deliver()
    [message, *_] = await taskbell.deliveries("open")
    assert message["state"] == "sent"
    return int(message["id"])


async def ask(web: Site, message: int, status: int, **body: Any) -> Any:
    answer = await web.client.post(f"/api/v1/deliveries/{message}/snooze", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def snooze(taskbell: Corridor, message: int) -> int:
    until = taskbell.clock.now() + HOUR
    return await snoozing.snooze(taskbell.pool, taskbell.clock, message, until, by=ANN)


async def test_the_api_has_a_message_sent_again_then(taskbell: Corridor, web: Site) -> None:
    """It answers the one that comes then; the escalation waits as long, and the history has it."""
    message, until = await told(taskbell), taskbell.clock.now() + HOUR
    again = await ask(web, message, 200, until=until.isoformat())
    assert (again["state"], again["text"]) == ("planned", "New: Leak")
    assert again["id"] != message
    assert datetime.fromisoformat(again["next_attempt_at"]) == until
    await taskbell.tick(hours=1)
    await taskbell.deliver()
    assert taskbell.posts == ["New: Leak", "New: Leak"]
    await taskbell.tick(minutes=119)
    await taskbell.deliver()
    assert "Nobody has it" not in " ".join(taskbell.posts)
    await taskbell.tick(minutes=1)
    await taskbell.deliver()
    assert "Nobody has it" in " ".join(taskbell.posts)
    [change] = (await web.client.get("/api/v1/audit")).json()["data"]
    assert (change["action"], change["subject"]) == ("message.answered", str(message))
    assert change["detail"] == f"snoozed until {until:%Y-%m-%d %H:%M} UTC"


@pytest.mark.parametrize(
    ("again", "at"),
    [
        ("snooze_hour", lambda now: now + HOUR),
        ("snooze_day", lambda _: datetime(2026, 3, 7, 8, tzinfo=ZoneInfo("America/New_York"))),
    ],
)
async def test_the_page_of_a_message_has_two_times(
    taskbell: Corridor, web: Site, again: str, at: Callable[[datetime], datetime]
) -> None:
    """In an hour, or the next morning in the account's zone; then it is not offered again."""
    message = await told(taskbell)
    path = f"/messages/{message}"
    assert f'value="{again}"' in (await web.client.get(path)).text
    form = {"back": path, "again": again}
    pressed = await web.client.post(f"/deliveries/{message}/snooze", data=form)
    assert pressed.headers["location"] == path
    [_, *_, copy] = await taskbell.deliveries("open")
    assert copy["next_attempt_at"] == at(taskbell.clock.now())
    assert f'value="{again}"' not in (await web.client.get(path)).text
    late = await web.client.post(f"/deliveries/{message}/snooze", data=form)
    assert late.headers["location"] == f"{path}?too_late"
    wrong = await web.client.post(f"/deliveries/{message}/snooze", data={"again": "soon"})
    assert wrong.status_code == 400
    for number in (999, 10**18 * 9, 10**19 - 1):
        unknown = await web.client.post(f"/deliveries/{number}/snooze", data=form)
        assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "until: expected a time with its zone"),
        ({"until": "soon"}, 400, "until: expected a time with its zone"),
        ({"until": "2026-03-06T13:00"}, 400, "until: expected a time with its zone"),
        ({"until": 7}, 400, "until: expected a time with its zone"),
        ({"until": "2026-03-05T13:00Z"}, 409, "the time has passed"),
        ({"until": "2026-05-01T13:00Z"}, 409, "more than 30 days ahead"),
        ({"until": "9999-12-31T23:59:59Z"}, 409, "more than 30 days ahead"),
    ],
)
async def test_a_time_that_cannot_be_is_refused(
    taskbell: Corridor, web: Site, body: Any, status: int, said: str
) -> None:
    """Not well-formed, over, or so far ahead that nobody means it."""
    message = await told(taskbell)
    assert said in (await ask(web, message, status, **body))["detail"]
    assert await taskbell.pool.fetchval("SELECT count(*) FROM changes") == 0


async def test_a_message_is_snoozed_once(taskbell: Corridor) -> None:
    """The one that comes then can be snoozed, too, once it was sent."""
    message = await told(taskbell)
    again = await snooze(taskbell, message)
    with pytest.raises(NotPossible, match="it was already snoozed"):
        await snooze(taskbell, message)
    with pytest.raises(NotPossible, match="it is planned"):
        await snooze(taskbell, again)
    await taskbell.tick(hours=1)
    await taskbell.deliver()
    await snooze(taskbell, again)
    with pytest.raises(NoSuchDelivery):
        await snooze(taskbell, 999)


async def test_what_is_over_is_not_said_again(taskbell: Corridor) -> None:
    """The task is acknowledged, done or deleted."""
    message = await told(taskbell)
    [visit] = list(taskbell.sandbox.kickserv.tasks)
    key, bo = ("field", visit), Person(name="Bo")
    await answers.acknowledge(taskbell.pool, key, bo, taskbell.clock.now(), by=ANN)
    await taskbell.ingest()
    with pytest.raises(NotPossible, match="Bo has already acknowledged the task"):
        await snooze(taskbell, message)
    taskbell.sandbox.kickserv.finish(visit)
    await taskbell.poll(full=True)
    with pytest.raises(NotPossible, match="the task is already done"):
        await snooze(taskbell, message)
    taskbell.sandbox.kickserv.delete(visit)
    await taskbell.pool.execute("UPDATE tasks SET deleted_at = now()")
    with pytest.raises(NotPossible, match="there is no such task"):
        await snooze(taskbell, message)


async def test_a_snoozed_message_is_withdrawn_when_the_task_is_done(taskbell: Corridor) -> None:
    """Nobody is reminded of what is over."""
    await snooze(taskbell, await told(taskbell))
    [visit] = list(taskbell.sandbox.kickserv.tasks)
    taskbell.sandbox.kickserv.finish(visit)
    await taskbell.poll(full=True)
    await taskbell.tick(hours=1)
    await taskbell.deliver()
    assert len(taskbell.posts) == 1
    assert "the task was completed" in taskbell.posts[0]


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"channel": "customer", "target": "details"}, "the system has written it"),
    ({"channel": "complete_task", "target": ""}, "the system has written it"),
    ({"channel": "mail", "target": "Smith <smith@x.test>"}, "it went to a customer"),
    ({"channel": "sms", "target": "+1 (555) 0100"}, "it went to a customer"),
    ({"state": State.FAILED}, "it is failed"),
    ({"state": State.UNKNOWN}, "it is unknown"),
]


@pytest.mark.parametrize(("changed", "why"), OTHERS)
async def test_other_messages_cannot_be_snoozed(
    pool: Pool, web: Site, changed: dict[str, Any], why: str
) -> None:
    """Customers are never asked twice; what was not sent, or writes to a system, is no reminder."""
    await know(pool, task(customer=SMITH), at=START)
    event = await record(pool, task(customer=SMITH), Kind.CREATED, at=START)
    wanted = {"state": State.SENT, **changed}
    message = await plan(pool, event, wanted.pop("state"), **wanted)
    until = (START + 5 * HOUR).isoformat()
    assert why in (await ask(web, message, 409, until=until))["detail"]
    assert "Snooze for 1 hour" not in (await web.client.get(f"/messages/{message}")).text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("shadow = true", "its rule is on trial"),
        ("updates = 1", "it is about another message"),
        ("task = ''", "it is not about one task"),
    ],
)
async def test_what_is_no_message_of_its_own_cannot_be_snoozed(
    pool: Pool, taskbell: Corridor, change: str, why: str
) -> None:
    """Trials, changes of earlier messages, and combined messages."""
    await know(pool, task(), at=START)
    message = await plan(pool, await record(pool, task(), Kind.CREATED, at=START), State.SENT)
    await pool.execute(f"UPDATE deliveries SET {change}")
    with pytest.raises(NotPossible, match=why):
        await snooze(taskbell, message)
