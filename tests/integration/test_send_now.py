"""Messages that somebody sends ahead of their time: what that skips, and what it does not."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Customer, Kind, State
from service.domain.operators.holds import Hold
from service.domain.operators.silences import Silence
from service.outbox import NoSuchDelivery, NotPossible, holds, operator_actions, silences
from service.simulator import Simulator
from service.simulator.upcoming import upcoming
from service.store import Pool
from tests.harness.corridor import Corridor, begun
from tests.harness.history import know, plan, record
from tests.harness.site import Site
from tests.harness.tasks import task

NEW_YORK = ZoneInfo("America/New_York")
LATE = datetime(2026, 3, 6, 22, 0, tzinfo=NEW_YORK).astimezone(UTC)  # a Friday
HOUR = timedelta(hours=1)
RULES = """
- { id: tell, when: task.created, hours: office, then: [{ notify: customer:details }] }
- { id: book, when: task.created, hours: office, then: [{ notify: accounting }] }
- { id: later, when: task.created, then: [{ wait: 2h }, { notify: accounting }] }
"""
ANN = Actor("Ann")


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A visit comes in at night: one message waits for two hours, the others for Monday."""
    async with begun(folder, pool, clock, RULES) as running:
        clock.set(LATE)
        await running.webhook(running.visit(customer={"id": 3, "name": "Smith"}))
        await running.deliver()
        assert sorted(await running.states()) == ["held", "held", "planned"]
        yield running


async def of(taskbell: Corridor, rule: str) -> asyncpg.Record:
    [one] = await taskbell.deliveries(rule)
    return one


async def hurry(taskbell: Corridor, rule: str) -> None:
    number = (await of(taskbell, rule))["id"]
    await operator_actions.send_now(taskbell.pool, taskbell.clock, number, by=ANN)


@pytest.mark.parametrize("rule", ["tell", "book", "later"])
async def test_it_goes_out_at_once_and_alone(rule: str, taskbell: Corridor) -> None:
    """Outside hours and before its time; the others keep waiting."""
    await hurry(taskbell, rule)
    one = await of(taskbell, rule)
    assert (one["state"], one["reason"]) == ("planned", "Ann asked to send it now")
    await taskbell.deliver()
    states = {row["rule"]: row["state"] for row in await taskbell.deliveries()}
    assert states.pop(rule) == "sent"
    assert "sent" not in states.values()


async def test_another_attempt_does_not_wait_for_hours_either(taskbell: Corridor) -> None:
    """The receiver was down for a moment."""
    await taskbell.accounting.stop()
    await hurry(taskbell, "book")
    await taskbell.deliver()
    await taskbell.accounting.start_again()
    await taskbell.tick(seconds=10)
    await taskbell.deliver()
    one = await of(taskbell, "book")
    assert (one["state"], one["attempts"]) == ("sent", 2)


async def test_the_forecast_knows_that_it_does_not_wait(taskbell: Corridor) -> None:
    """A message that a person sends now is no longer expected on Monday."""
    await hurry(taskbell, "book")
    config, now = taskbell.config, taskbell.clock.now()
    trial = Simulator(config.rules, config.zones, ways(config.kinds), now)
    async with taskbell.pool.acquire() as connection, connection.transaction():
        found = await upcoming(trial, connection, now + 72 * HOUR)
    assert [one.settled_at for one in found if one.request.rule == "book"] == [now]


async def test_the_system_is_still_asked(taskbell: Corridor) -> None:
    """The visit is gone by then: nothing is tried, and the customer is not told."""
    taskbell.sandbox.kickserv.tasks.clear()
    await hurry(taskbell, "tell")
    await taskbell.deliver()
    one = await of(taskbell, "tell")
    assert one["state"] != "sent"
    assert await taskbell.pool.fetchval("SELECT count(*) FROM attempts") == 0
    assert taskbell.told == []


async def test_a_silence_still_counts(taskbell: Corridor) -> None:
    """It is skipped, with the silence as the reason."""
    now = taskbell.clock.now()
    silence = Silence(0, now, now + HOUR, "moving", rule="book")
    await silences.add(taskbell.pool, silence, by=ANN)
    await hurry(taskbell, "book")
    await taskbell.deliver()
    assert (await of(taskbell, "book"))["state"] == "skipped"
    assert taskbell.accounting.requests == []


async def test_a_hold_still_counts(taskbell: Corridor) -> None:
    """A customer message waits for the end of the hold, and is then not hurried once more."""
    now = taskbell.clock.now()
    await holds.begin(taskbell.pool, Hold(0, now, now + HOUR, "snow", "Ann"), by=ANN)
    await hurry(taskbell, "tell")
    await taskbell.deliver()
    assert taskbell.told == []
    assert (await of(taskbell, "tell"))["hold"] == 1
    with pytest.raises(NotPossible, match="on hold together with others"):
        await hurry(taskbell, "tell")
    taskbell.clock.advance(HOUR)
    await taskbell.deliver()
    assert taskbell.told == ["details"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"state": "sent"}, "is sent; only one that is planned or held can be sent now"),
    ({"state": "held", "approver": "slack:#office"}, "waits for approval"),
    ({"state": "held", "storm": 1}, "on hold together with others"),
    ({"shadow": True}, "its rule is on trial"),
    ({"next_attempt_at": LATE}, "is already due"),
]


@pytest.mark.parametrize(("changed", "why"), REFUSED)
async def test_what_waits_for_something_else_is_not_sent(
    changed: dict[str, Any], why: str, taskbell: Corridor
) -> None:
    """A person decides on that elsewhere, or it is over; nothing is changed or recorded."""
    number = (await of(taskbell, "book"))["id"]
    names = ", ".join(f"{name} = ${n}" for n, name in enumerate(changed, 2))
    statement = f"UPDATE deliveries SET {names} WHERE id = $1"
    await taskbell.pool.execute(statement, number, *changed.values())
    with pytest.raises(NotPossible, match=why):
        await hurry(taskbell, "book")
    assert not (await of(taskbell, "book"))["at_once"]
    assert await taskbell.pool.fetchval("SELECT count(*) FROM changes") == 0


async def test_one_that_is_not_there_is_not_found(taskbell: Corridor) -> None:
    """Nobody made a message of this number."""
    with pytest.raises(NoSuchDelivery):
        await operator_actions.send_now(taskbell.pool, taskbell.clock, 99, by=ANN)


async def waiting(pool: Pool, clock: VirtualClock, **changed: Any) -> int:
    """A message about a customer's task that waits for an hour."""
    about = task(customer=Customer(name="Ida Smith", email="ida@smith.test"))
    await know(pool, about, at=clock.now())
    event = await record(pool, about, Kind.COMPLETED, at=clock.now())
    return await plan(pool, event, send_at=clock.now() + HOUR, **changed)


@pytest.mark.parametrize("path", ["/coming", "/messages/1"])
async def test_both_screens_offer_it_and_ask_for_a_customer(
    path: str, web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """A question first where it reaches a customer; no button once it is due."""
    await waiting(pool, clock, channel="customer", target="details")
    page = (await web.client.get(path)).text
    said = re.sub(r"<[^>]+>", "", page)
    assert "This sends the message to Ida Smith. You have ten seconds to stop it." in said
    assert "/deliveries/1/send-now" in page
    await pool.execute("UPDATE deliveries SET channel = 'slack', target = '#office'")
    page = (await web.client.get(path)).text
    assert "<button>Send now</button>" in page
    assert "cannot be taken back" not in page
    await pool.execute("UPDATE deliveries SET next_attempt_at = $1", clock.now())
    assert "send-now" not in (await web.client.get(path)).text


@pytest.mark.parametrize("path", ["/coming", "/messages/1"])
async def test_what_waits_for_a_person_has_no_such_button(
    path: str, web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """On hold, or in need of approval."""
    await waiting(pool, clock)
    for changed in ("hold = 1", "hold = NULL, approver = 'slack:#office'"):
        await pool.execute(f"UPDATE deliveries SET state = 'held', {changed}")
        assert "send-now" not in (await web.client.get(path)).text


async def test_the_button_leads_back(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """To the screen that it is on; a second press says that it was done already."""
    number = await waiting(pool, clock)
    path, back = f"/deliveries/{number}/send-now", {"back": "/coming"}
    first = await web.client.post(path, data=back)
    assert (first.status_code, first.headers["location"]) == (303, "/coming")
    [row] = await pool.fetch("SELECT * FROM deliveries")
    assert (row["state"], row["next_attempt_at"], row["at_once"]) == ("planned", clock.now(), True)
    second = await web.client.post(path, data=back)
    assert second.headers["location"] == "/coming?too_late"
    assert await pool.fetchval("SELECT count(*) FROM changes") == 1


async def test_the_api_sends_it_too(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """It returns the delivery; 409 says what it waits for."""
    number = await waiting(pool, clock)
    path = f"/api/v1/deliveries/{number}/send-now"
    done = await web.client.post(path)
    assert (done.status_code, done.json()["state"]) == (200, State.PLANNED)
    assert done.json()["reason"].endswith(" asked to send it now")
    again = await web.client.post(path)
    assert again.status_code == 409
    assert (
        again.json()["detail"]
        == f"delivery {number} is already due: it is sent as soon as possible"
    )
