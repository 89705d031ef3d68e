"""Approve: somebody is asked before a message goes out, and what becomes of it either way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.outbox import NotPossible, approvals, operator_actions
from service.outbox.approvals import DeliveryLinks
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.site import Site, serving

HOUR = timedelta(hours=1)
RULES = """
- id: moved
  when: { task.rescheduled: [start] }
  then:
    - notify: customer:details
      approve: slack:#dispatch
"""


async def move(taskbell: Corridor, hours: int = 48, **more: Any) -> str:
    """A visit is there, and then begins at another time."""
    customer = {"id": 3, "name": "Smith"}
    visit = taskbell.visit(name="Gutters", customer=customer)
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(minutes=1))
    start = taskbell.clock.now() + timedelta(hours=hours)
    changed = taskbell.sandbox.kickserv.change(str(visit["id"]), scheduled_at=start, **more)
    await taskbell.webhook(changed)
    await taskbell.deliver()
    return str(visit["id"])


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


def signed_with(taskbell: Corridor, token: str) -> None:
    """The worker has this admin token."""
    links = DeliveryLinks("https://tasks.test", SecretStr(token))
    for lane in taskbell.worker.lanes.values():
        lane._links = links


@asynccontextmanager
async def page(taskbell: Corridor, redis_url: str, token: str | None = None) -> AsyncIterator[Site]:
    async with serving(taskbell.config, taskbell.pool, taskbell.clock, redis_url, token) as served:
        yield served


def link(taskbell: Corridor) -> str:
    """The path of the link in the last question."""
    *_, last = taskbell.slack.posted.values()
    url: str = last["blocks"][-1]["elements"][0]["url"]
    assert url.startswith("https://tasks.test/approvals/")
    return url.removeprefix("https://tasks.test")


async def test_the_approver_is_told_what_would_be_sent_to_whom(taskbell: Corridor) -> None:
    """The message waits; the question names it, its task and its end, and has a link."""
    await move(taskbell)
    [held, question] = await taskbell.deliveries()
    assert (held["state"], held["channel"], question["state"]) == ("held", "customer", "sent")
    assert held["reason"].startswith("waiting for approval by slack:#dispatch (until ")
    [asked] = taskbell.posts
    assert asked.startswith(
        "Approve this? To customer: the details of the visit, about Gutters for Smith\n"
    )
    assert "If nobody answers by Sat 7 Mar 2026, 07:02 (America/New_York), it is not sent." in asked
    assert link(taskbell).startswith(f"/approvals/{held['id']}?token=")
    assert taskbell.told == []


async def test_what_is_approved_goes_once(taskbell: Corridor) -> None:
    """It says who has approved it; a second word comes too late."""
    await move(taskbell, hours=72, ends_at=taskbell.clock.now() + 73 * HOUR)
    [held, _] = await taskbell.deliveries()
    await approvals.approve(taskbell.pool, taskbell.clock, held["id"], by=Actor("Ann"))
    with pytest.raises(NotPossible, match="was already approved by Ann"):
        await approvals.decline(taskbell.pool, taskbell.clock, held["id"], by=Actor("Bo"))
    taskbell.clock.advance(2 * 24 * HOUR)
    await taskbell.deliver()
    assert taskbell.told == ["details"]
    [sent, _] = await taskbell.deliveries()
    assert (sent["state"], sent["approved_by"]) == ("sent", "Ann")


async def test_what_is_declined_or_unanswered_is_not_sent(taskbell: Corridor) -> None:
    """A declined delivery is cancelled, an unanswered one expires; both reasons say so."""
    await move(taskbell)
    await approvals.decline(taskbell.pool, taskbell.clock, 1, by=Actor("Ann"))
    await move(taskbell)
    taskbell.clock.advance(24 * HOUR - timedelta(seconds=1))
    await taskbell.deliver()
    assert await taskbell.states() == ["cancelled", "sent", "held", "sent"]
    taskbell.clock.advance(timedelta(seconds=1))
    await taskbell.deliver()
    declined, _, late, _ = await taskbell.deliveries()
    assert (declined["state"], declined["reason"]) == ("cancelled", "declined by Ann")
    assert late["state"] == "expired"
    assert late["reason"].startswith("not approved in time: slack:#dispatch had until ")
    with pytest.raises(NotPossible, match="not approved in time"):
        await approvals.approve(taskbell.pool, taskbell.clock, late["id"], by=Actor("Ann"))
    assert taskbell.told == []


async def test_its_time_is_over_before_the_worker_says_so(taskbell: Corridor) -> None:
    """An approval at the very end is too late, whether or not a worker has come by."""
    await move(taskbell)
    taskbell.clock.advance(24 * HOUR)
    with pytest.raises(NotPossible, match="the time to answer has passed"):
        await approvals.approve(taskbell.pool, taskbell.clock, 1, by=Actor("Ann"))


async def test_of_two_who_press_at_once_one_wins(taskbell: Corridor) -> None:
    """Of two answers at the same moment the first counts, the other is told of it."""
    await move(taskbell)
    answers = await asyncio.gather(
        *(
            decide(taskbell.pool, taskbell.clock, 1, by=Actor(name))
            for name, decide in (("Ann", approvals.approve), ("Bo", approvals.decline)) * 3
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, NotPossible) for one in answers) == 5
    await taskbell.deliver()
    [delivery, _] = await taskbell.deliveries()
    assert taskbell.told == (["details"] if delivery["approved_by"] else [])


async def test_what_moves_on_is_not_approved_any_more(taskbell: Corridor) -> None:
    """The task is done before anybody answers: the message is withdrawn, and says so."""
    task = await move(taskbell)
    taskbell.clock.advance(HOUR)
    done = taskbell.sandbox.kickserv.change(task, completed_on="2026-03-06")
    await taskbell.webhook(done)
    with pytest.raises(NotPossible, match="declined: cancelled: the task was completed"):
        await approvals.approve(taskbell.pool, taskbell.clock, 1, by=Actor("Ann"))


async def test_nobody_is_asked_about_what_is_decided(taskbell: Corridor) -> None:
    """The question was still on its way: it is not sent."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(minutes=1))
    later = taskbell.clock.now() + 48 * HOUR
    await taskbell.webhook(taskbell.sandbox.kickserv.change(str(visit["id"]), scheduled_at=later))
    await approvals.approve(taskbell.pool, taskbell.clock, 1, by=Actor("Ann"))
    await taskbell.deliver()
    [sent, question] = await taskbell.deliveries()
    assert (sent["state"], question["state"]) == ("sent", "cancelled")
    assert question["reason"] == "nothing to ask: someone has already decided"


async def test_hours_count_after_the_approval(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Approved at night, it goes out when the office opens; `expires` ends the question."""
    rules = """
    - id: moved
      when: { task.rescheduled: [start] }
      hours: office
      expires: 20h
      then: [{ notify: customer:details, approve: "slack:#dispatch" }]
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        clock.advance(11 * HOUR - timedelta(days=1))  # Thursday evening
        await move(taskbell)
        assert "If nobody answers by Fri 6 Mar 2026, 14:0" in taskbell.posts[0]
        await approvals.approve(pool, clock, 1, by=Actor("Ann"))
        await taskbell.deliver()
        assert taskbell.told == []
        clock.advance(15 * HOUR)
        await taskbell.deliver()
        assert taskbell.told == ["details"]


async def test_a_person_who_sends_it_all_the_same_approves_it(taskbell: Corridor) -> None:
    """`outbox retry` of what nobody has approved in time is an approval."""
    await move(taskbell)
    taskbell.clock.advance(24 * HOUR)
    await taskbell.deliver()
    await operator_actions.retry(taskbell.pool, taskbell.clock, 1, by=Actor("Ann"))
    await taskbell.deliver()
    assert taskbell.told == ["details"]


async def test_a_link_shows_the_message_and_a_press_decides(
    taskbell: Corridor, valkey: EmbeddedValkey
) -> None:
    """Whoever has it needs no token; reading decides nothing; a second press changes nothing."""
    signed_with(taskbell, "s3cret-of-the-page")
    await move(taskbell)
    async with page(taskbell, valkey.url, token="s3cret-of-the-page") as web:
        for _ in range(2):
            shown = await web.client.get(link(taskbell), headers={"purpose": "prefetch"})
            assert "Approve this?" in shown.text
        assert await taskbell.states() == ["held", "sent"]
        pressed = await web.client.post(link(taskbell), data={"answer": "approve"})
        assert "Approved by the person who opened the link sent to slack:#dispatch" in pressed.text
        again = await web.client.post(link(taskbell), data={"answer": "decline", "reason": "?"})
        assert "Nothing was changed: message 1 was already approved" in again.text
    [told] = await taskbell.pool.fetch("SELECT by, from_address, action FROM changes")
    assert tuple(told) == (
        "the person who opened the link sent to slack:#dispatch",
        "127.0.0.1",
        "message.approved",
    )
    await taskbell.deliver()
    assert taskbell.told == ["details"]


async def test_who_declines_by_a_link_may_say_why(
    taskbell: Corridor, valkey: EmbeddedValkey
) -> None:
    """The reason is on the page, with the message, and in the history of changes."""
    signed_with(taskbell, "s3cret-of-the-page")
    await move(taskbell)
    async with page(taskbell, valkey.url, token="s3cret-of-the-page") as web:
        answer = {"answer": "decline", "reason": "They are away"}
        declined = await web.client.post(link(taskbell), data=answer)
        says = "declined by the person who opened the link sent to slack:#dispatch: They are away"
        assert says in declined.text
    assert await taskbell.pool.fetchval("SELECT detail FROM changes") == "They are away"


async def test_a_link_is_for_one_delivery_and_our_own_page(
    taskbell: Corridor, valkey: EmbeddedValkey
) -> None:
    """Another number, another token, another site's form, another answer: nothing is decided."""
    signed_with(taskbell, "s3cret-of-the-page")
    for _ in range(2):
        await move(taskbell)
    async with page(taskbell, valkey.url, token="s3cret-of-the-page") as web:
        good = link(taskbell)
        token = good.partition("?")[2]
        for bad in ("/approvals/3", "/approvals/3?token=x", f"/approvals/1?{token}"):
            assert (await web.client.get(bad)).status_code == 404
            assert (await web.client.post(bad, data={"answer": "approve"})).status_code == 404
            in_a_browser = await web.client.get(bad, headers={"accept": "text/html"})
            assert in_a_browser.status_code == 404
            assert "This approval link is not valid. Ask for a new one" in in_a_browser.text
        foreign = {"origin": "https://evil.test"}
        answers = [
            await web.client.post(good, data={"answer": "approve"}, headers=foreign),
            await web.client.post(good, data={"answer": "both"}),
        ]
        assert [one.status_code for one in answers] == [403, 400]
    assert await taskbell.states() == ["held", "sent", "held", "sent"]


async def test_a_link_is_worth_nothing_elsewhere(
    taskbell: Corridor, valkey: EmbeddedValkey
) -> None:
    """Signed with another admin token, or asked for from another machine where there is none."""
    await move(taskbell)
    async with page(taskbell, valkey.url, token="another-of-the-page") as web:
        assert (await web.client.get(link(taskbell))).status_code == 404
    async with page(taskbell, valkey.url) as web:
        assert (await web.client.get(link(taskbell))).status_code == 200
        foreign = await web.client.get(link(taskbell), headers={"host": "tasks.test"})
        assert foreign.status_code == 403


async def test_the_operator_page_and_the_api_decide_too(
    taskbell: Corridor, valkey: EmbeddedValkey
) -> None:
    """Buttons beside what waits; the API answers with what has become of it."""
    for _ in range(3):
        await move(taskbell)
    async with page(taskbell, valkey.url) as web:
        shown = (await web.client.get("/")).text
        assert shown.count("<summary>Approve…</summary>") == 3
        await web.client.post("/deliveries/1/approve")
        why = {"reason": "not today"}
        declined = await web.client.post("/api/v1/deliveries/3/decline", json=why)
        assert declined.json()["reason"] == "declined by someone on this machine: not today"
        late = await web.client.post("/api/v1/deliveries/3/approve")
        assert late.status_code == 409
        assert "can no longer be approved or declined" in late.json()["detail"]
        other = await web.client.post("/api/v1/deliveries/2/approve")
        assert other.json()["detail"] == "message 2 needs no approval"
    assert (await taskbell.states())[:6:2] == ["planned", "cancelled", "held"]
