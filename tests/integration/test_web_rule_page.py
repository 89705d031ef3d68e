"""The screen of one rule: what it did lately, day by day, its decisions and its tests."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.domain.model import Event, Kind, State
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from service.store.decisions import Decision, PostgresDecisions
from service.web.presenters import rule_test_states
from service.web.presenters.rule_days import RuleDays
from tests.harness.full_office import HOSTILE, LONG
from tests.harness.history import plan, record
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import task
from tests.harness.waiting import eventually

TESTED = """
- id: late
  when: task.overdue
  then: [{ notify: accounting, text: "{{ task.title }} is late" }]
tests:
- name: a late one is reported
  rules: [late]
  start: 2026-03-06 08:00
  given: [{ id: T1, title: Mow, due: 2026-03-06 12:00 }]
  steps:
  - { at: 2026-03-06 12:00, expect: [{ notify: accounting, contains: Mow }] }
- name: "nobody hears of <b>it</b>"
  rules: [late]
  start: 2026-03-06 08:00
  given: [{ id: T1, due: 2026-03-06 12:00 }]
  steps: [{ at: 2026-03-06 12:00, expect: [] }]
"""


async def ended(pool: Pool, clock: VirtualClock, state: State, days_ago: int, title: str) -> Event:
    """A message of job-done that came to this state some days ago."""
    at = clock.now() - timedelta(days=days_ago)
    event = await record(pool, task(title=title), Kind.COMPLETED, at=at)
    number = await plan(pool, event, state)
    await pool.execute(
        "UPDATE deliveries SET created_at = $2, settled_at = $2 WHERE id = $1", number, at
    )
    return event


async def decided(pool: Pool, clock: VirtualClock, event: Event, reason: str) -> None:
    async with pool.acquire() as connection:
        decision = Decision(event.id, "job-done", "matched", reason)
        await PostgresDecisions(connection).insert([decision], "v", clock.now())


async def test_the_days_are_drawn_and_told(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Both screens have the plot, with its words; older days are not in it."""
    for state, days_ago in (
        (State.SENT, 0),
        (State.SENT, 3),
        (State.SENT, 3),
        (State.SKIPPED, 3),
        (State.SENT, 29),
        (State.SENT, 30),
    ):
        await ended(pool, clock, state, days_ago, "Smith")
    for path in ("/rules", "/rules/job-done"):
        page = (await web.client.get(path)).text
        assert 'role="img" aria-label="4 messages sent in 30 days, 1 not sent"' in page
        assert len(re.findall(r'<rect class="sent"', page)) == 3
        assert len(re.findall(r'<rect class="kept"', page)) == 1
    day = (clock.now() - timedelta(days=3)).strftime("%a %-d %b")
    assert f'<th scope="row">{day}</th><td>2</td><td>1</td>' in page
    assert "Day (Europe/London)" in page


async def test_a_day_is_that_of_the_firm(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Half past eleven in the evening in UTC is the next day in London in summer."""
    clock.set(clock.now().replace(month=7, day=10, hour=12))
    event = await ended(pool, clock, State.SENT, 0, "Smith")
    late = clock.now().replace(day=8, hour=23, minute=30)
    await pool.execute(
        "UPDATE deliveries SET created_at = $1, settled_at = $1 WHERE event = $2", late, event.id
    )
    page = (await web.client.get("/rules/job-done")).text
    assert '<th scope="row">Thu 9 Jul</th><td>1</td>' in page


async def test_a_rule_without_messages_has_no_plot(web: Site) -> None:
    """An empty drawing would say nothing."""
    page = (await web.client.get("/rules/job-done")).text
    assert "<svg" not in page
    assert "never" in page
    assert "The configuration has no tests for this rule" in page
    assert "It has not decided anything yet" in page


async def test_the_last_decisions_lead_to_task_and_message(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """With their reasons; whatever stands in titles and reasons is text."""
    event = await ended(pool, clock, State.SENT, 1, f"{HOSTILE}{LONG}")
    await decided(pool, clock, event, f"task.completed, and {HOSTILE}")
    page = (await web.client.get("/rules/job-done")).text
    number = await pool.fetchval("SELECT id FROM deliveries")
    assert f'<a href="/messages/{number}">Message {number}</a>' in page
    assert '<a href="/tasks/london/T1">&lt;script&gt;alert(1)' in page
    assert "<script>alert" not in page
    assert LONG not in page
    assert "<b>acted</b>" in page
    assert "never" not in page
    assert 'href="/messages?rule=job-done"' in page


async def test_the_tests_of_a_rule_are_run(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Each is named, with its line and whether it passes."""
    async with serving(configured(tmp_path, TESTED), pool, clock, valkey.url) as running:
        page = (await running.client.get("/rules/late")).text
        other = (await running.client.get("/rules/job-done")).text
    assert "1 of 2 pass" in page
    assert "passes: <bdi>a late one is reported</bdi>" in page
    assert "fails: <bdi>nobody hears of &lt;b&gt;it&lt;/b&gt;</bdi>" in page
    assert "no tests for this rule" in other


async def test_nobody_waits_for_slow_tests(
    tmp_path: Path,
    pool: Pool,
    clock: VirtualClock,
    valkey: EmbeddedValkey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The screen says that they are being run, and later how they ended."""
    monkeypatch.setattr(rule_test_states, "_PATIENCE", 0.0)
    async with serving(configured(tmp_path, TESTED), pool, clock, valkey.url) as running:
        assert "The tests are running" in (await running.client.get("/rules/late")).text

        async def are_known() -> bool:
            return "1 of 2 pass" in (await running.client.get("/rules/late")).text

        await eventually(are_known)


async def test_a_page_does_not_wait_until_all_messages_are_counted(
    pool: Pool, clock: VirtualClock
) -> None:
    """There is no plot at first, then there is; the old one stays while they are counted anew."""
    await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()), State.SENT)
    days = RuleDays(pool, clock, ["job-done"], ZoneInfo("Europe/London"))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        assert await days.plots() == {}
    await eventually(days.plots)
    assert (await days.plots())["job-done"].sent == 1
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(0.2)
        assert (await days.plots())["job-done"].sent == 1
