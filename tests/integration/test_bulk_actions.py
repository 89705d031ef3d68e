"""Many messages that failed, or were not sent, are sent again or left at once."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import asyncpg
import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Customer, Kind, State
from service.outbox import NotPossible, operator_actions
from service.outbox.operator_actions import MOST_AT_ONCE, BulkAction
from service.store import Pool
from service.store.views.message_search import Search
from tests.harness.history import plan, record
from tests.harness.site import Site
from tests.harness.tasks import task

ANN = Actor("Ann")
RETRY, DISMISS = BulkAction.RETRY, BulkAction.DISMISS
FAILED = Search(state="failed")
PATH = "/messages/bulk/retry?state=failed"


async def message(
    pool: Pool, clock: VirtualClock, state: State = State.FAILED, **changed: Any
) -> int:
    about = task(customer=Customer(name="Ida Smith", email="ida@smith.test"))
    event = await record(pool, about, Kind.COMPLETED, at=clock.now())
    return await plan(pool, event, state, **changed)


async def rows(pool: Pool) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM deliveries ORDER BY id")


async def states(pool: Pool) -> list[str]:
    return [row["state"] for row in await rows(pool)]


async def read(web: Site, path: str, status: int = 200) -> str:
    answer = await web.client.get(path)
    assert answer.status_code == status
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.EXPIRED])
async def test_all_of_a_state_are_sent_again(state: State, pool: Pool, clock: VirtualClock) -> None:
    """Those of the search and no others; the history has one entry with their number."""
    for channel in ("slack", "slack", "email"):
        await message(pool, clock, state, channel=channel)
    await message(pool, clock, State.SENT)
    search = Search(state=state, channel="slack")
    assert await operator_actions.matching(pool, RETRY, search) == [2, 1]
    assert await operator_actions.act_on_all(pool, clock, RETRY, search, 2, by=ANN) == {"slack"}
    assert await states(pool) == ["planned", "planned", state, "sent"]
    first, *_ = await rows(pool)
    assert (first["reason"], first["asked_for"]) == ("Ann asked for another attempt", True)
    [change] = await pool.fetch("SELECT by, action, subject, detail FROM changes")
    said = f"state {state}, channel slack"
    assert tuple(change) == ("Ann", "messages.retried", "2", said)


async def test_failures_are_left(pool: Pool, clock: VirtualClock) -> None:
    """They stay failed, need no attention, and are not left twice."""
    for _ in range(2):
        await message(pool, clock)
    assert not await operator_actions.act_on_all(pool, clock, DISMISS, FAILED, 2, by=ANN)
    for row in await rows(pool):
        assert (row["state"], row["acknowledged_at"]) == ("failed", clock.now())
        assert row["reason"] == "dismissed by Ann"
    assert await operator_actions.matching(pool, DISMISS, FAILED) == []
    assert await pool.fetchval("SELECT action FROM changes") == "messages.dismissed"


@pytest.mark.parametrize("action", [RETRY, DISMISS])
async def test_nothing_is_done_if_the_number_has_changed(
    action: BulkAction, pool: Pool, clock: VirtualClock
) -> None:
    """One more has failed since it was shown."""
    await message(pool, clock)
    await message(pool, clock)
    with pytest.raises(NotPossible, match="the number of messages is now 2, not 1"):
        await operator_actions.act_on_all(pool, clock, action, FAILED, 1, by=ANN)
    assert await states(pool) == ["failed", "failed"]
    assert await pool.fetchval("SELECT count(*) FROM changes") == 0


async def test_more_than_the_most_is_refused(pool: Pool, clock: VirtualClock) -> None:
    """The person must narrow the search."""
    await message(pool, clock)
    columns = "account, task, event, rule, step, channel, target, lane, at_most_once"
    await pool.execute(
        f"""
        INSERT INTO deliveries ({columns}, state, created_at, once_key)
        SELECT {columns}, state, created_at, 'k' || n
        FROM deliveries, generate_series(2, $1) AS n
        """,
        MOST_AT_ONCE,
    )
    assert len(await operator_actions.matching(pool, RETRY, FAILED)) == MOST_AT_ONCE
    await message(pool, clock)
    with pytest.raises(NotPossible, match="may be more than 500 messages: narrow the search"):
        await operator_actions.matching(pool, RETRY, FAILED)


@pytest.mark.parametrize(
    ("action", "state"),
    [(RETRY, "unknown"), (RETRY, "sent"), (RETRY, ""), (DISMISS, "cancelled"), (DISMISS, "")],
)
async def test_it_is_for_some_states_only(action: BulkAction, state: str, pool: Pool) -> None:
    """What may have arrived is decided one by one."""
    with pytest.raises(NotPossible, match="this can be done to messages that are"):
        await operator_actions.matching(pool, action, Search(state=state))


async def test_what_its_rule_created_again_is_left_out(pool: Pool, clock: VirtualClock) -> None:
    """Of several with the same key, only the newest is sent; none if one is on its way."""
    for _ in range(2):
        await message(pool, clock, State.CANCELLED, once_key="a")
    await message(pool, clock, State.CANCELLED, once_key="b")
    await message(pool, clock, State.SENT, once_key="b")
    search = Search(state="cancelled")
    assert await operator_actions.matching(pool, RETRY, search) == [2]
    await operator_actions.act_on_all(pool, clock, RETRY, search, 1, by=ANN)
    assert await states(pool) == ["cancelled", "planned", "cancelled", "sent"]


async def test_what_was_dismissed_is_not_sent_again_with_the_rest(
    pool: Pool, clock: VirtualClock
) -> None:
    """A person has decided about it; single it can still be sent."""
    dismissed = await message(pool, clock)
    await operator_actions.cancel(pool, clock, dismissed, by=ANN, reason="told them by phone")
    failed = await message(pool, clock)
    assert await operator_actions.matching(pool, RETRY, FAILED) == [failed]
    await operator_actions.act_on_all(pool, clock, RETRY, FAILED, 1, by=ANN)
    assert await states(pool) == ["failed", "planned"]
    await operator_actions.retry(pool, clock, dismissed, by=ANN)
    assert await states(pool) == ["planned", "planned"]


async def test_what_was_dismissed_takes_no_room(pool: Pool, clock: VirtualClock) -> None:
    """Of very many failures one part can be dismissed after the other, however far back."""
    await message(pool, clock)
    clock.advance(timedelta(days=1))
    for number in range(MOST_AT_ONCE):
        await message(pool, clock, once_key=f"late {number}")
    with pytest.raises(NotPossible, match="narrow the search"):
        await operator_actions.matching(pool, DISMISS, FAILED)
    late = Search(state="failed", since=clock.now() - timedelta(hours=1))
    await operator_actions.act_on_all(pool, clock, DISMISS, late, MOST_AT_ONCE, by=ANN)
    assert await operator_actions.matching(pool, DISMISS, FAILED) == [1]


async def test_what_is_on_trial_is_left_out(pool: Pool, clock: VirtualClock) -> None:
    """It was never to be sent."""
    await message(pool, clock)
    await pool.execute("UPDATE deliveries SET shadow = true")
    assert await operator_actions.matching(pool, RETRY, FAILED) == []


async def test_the_list_leads_to_it(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """With the filter that is shown; not for states to which it cannot be done."""
    await message(pool, clock)
    await message(pool, clock, State.SENT)
    page = (await web.client.get("/messages?state=failed&channel=slack")).text
    assert '"/messages/bulk/retry?state=failed&amp;channel=slack"' in page
    assert '"/messages/bulk/dismiss?state=failed&amp;channel=slack"' in page
    for state in ("sent", ""):
        assert "/bulk/" not in (await web.client.get(f"/messages?state={state}")).text


async def test_the_page_says_first_what_it_does(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """How many, how many of them reach customers, and the first fifty; nothing is done."""
    for _ in range(51):
        await message(pool, clock)
    await message(pool, clock, channel="customer", target="details")
    page = await read(web, PATH)
    assert "This sends 52 messages again. 1 message of these reaches customers" in page
    assert "cannot be taken back" in page
    assert "Send these 52 messages again" in page
    assert "The newest 50 of them" in page
    assert page.count("Reaches Ida Smith.") == 1
    assert (await web.client.get(PATH)).text.count('<li class="card">') == 50
    left = await read(web, PATH.replace("retry", "dismiss"))
    assert "52 messages are not sent, and need no more attention." in left
    assert set(await states(pool)) == {"failed"}


async def test_the_button_does_it(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """And leads back to the list."""
    await message(pool, clock)
    done = await web.client.post(PATH, data={"count": "1"})
    assert (done.status_code, done.headers["location"]) == (303, "/messages?state=failed")
    assert await states(pool) == ["planned"]
    history = await read(web, "/audit")
    assert "sent several messages again: all 1" in history


@pytest.mark.parametrize("count", ["2", "", "x", "9" * 9, "\u0661\u0661"])
async def test_another_number_is_shown_again(
    count: str, web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The page says how many it is now, and that nothing was done."""
    await message(pool, clock)
    answer = await web.client.post(PATH, data={"count": count})
    assert answer.status_code == 409
    assert "the number of messages is now 1" in answer.text
    assert 'name="count" value="1"' in answer.text
    assert await states(pool) == ["failed"]


async def test_an_address_that_asks_for_nonsense_says_so(web: Site) -> None:
    """Another action, another state, a field that nobody knows; and where nothing is found."""
    assert (await web.client.get("/messages/bulk/burn?state=failed")).status_code == 404
    assert "this can be done to messages" in await read(web, "/messages/bulk/retry", 409)
    assert "does not know" in await read(web, f"{PATH}&x=1", 400)
    assert "There are no such messages" in await read(web, PATH)


async def test_a_wrong_address_does_nothing(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """There is no such day: not those of all days instead."""
    await message(pool, clock)
    answer = await web.client.post(f"{PATH}&since=2026-02-30", data={"count": "1"})
    assert answer.status_code == 400
    assert "enter a date" in answer.text
    assert await states(pool) == ["failed"]


async def test_the_api_counts_first(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Without a count nothing is done; with the right one, all of it; with another, 409."""
    await message(pool, clock, channel="customer", target="details")
    await message(pool, clock)
    path, said = "/api/v1/deliveries/bulk", {"action": "retry", "state": "failed"}
    counted = await web.client.post(path, json=said)
    assert counted.json() == {"count": 2, "customers": 1, "done": False}
    wrong = await web.client.post(path, json={**said, "count": 1})
    assert wrong.status_code == 409
    assert wrong.json()["detail"] == "the number of messages is now 2, not 1"
    later = (clock.now() + timedelta(hours=1)).isoformat()
    none = await web.client.post(path, json={**said, "since": later})
    assert none.json()["count"] == 0
    done = await web.client.post(path, json={**said, "count": 2.0})  # in JSON it is an integer
    assert done.json() == {"count": 2, "customers": None, "done": True}
    assert await states(pool) == ["planned", "planned"]


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "burn"},
        {"state": "unknown"},
        {"state": None},
        {"channel": "a\nb"},
        {"rule": 7},
        {"rule": []},
        {"channel": False},
        {"account": ""},
        {"receiver": "  "},
        {"since": "yesterday"},
        {"count": 0},
        {"count": True},
        {"count": 1.5},
        {"count": MOST_AT_ONCE + 1},
        {"nobody": "x"},
    ],
)
async def test_the_api_names_what_is_wrong(changed: dict[str, Any], web: Site) -> None:
    """400, with the field."""
    said = {"action": "retry", "state": "failed", **changed}
    answer = await web.client.post("/api/v1/deliveries/bulk", json=said)
    assert answer.status_code == 400
    assert next(iter(changed)) in answer.json()["detail"]
