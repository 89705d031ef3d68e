"""The page brings itself up to date, and takes nothing away from somebody who is at work on it."""

import asyncio
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from redis.asyncio import Redis

from service.clock import VirtualClock
from service.domain.model import Kind
from service.doorbell import CHANGES
from service.processes.embedded import EmbeddedValkey
from service.simulator.rule_backtest import Tried
from service.store import Pool
from service.web.presenters import rule_backtests
from tests.browser.visitor import DESK, visiting
from tests.harness.history import plan, record
from tests.harness.site import Site
from tests.harness.tasks import task

A_WHILE = 5_000  # milliseconds, after which the page shows what it was told of


async def _something_new(pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey) -> None:
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    await plan(pool, event, text="news of the day", send_at=clock.now() + timedelta(hours=1))
    await _tell(valkey)


async def _tell(valkey: EmbeddedValkey) -> None:
    """A worker says that something has changed."""
    async with Redis.from_url(valkey.url) as redis:
        await redis.incr(CHANGES)


async def test_what_happens_meanwhile_is_shown(
    browser: Browser, office: Site, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Without a reload: what was marked on the page before would be gone."""
    async with visiting(browser, office, DESK) as visitor:
        async with visitor.page.expect_request("**/live"):
            await visitor.open("/")
        await visitor.page.evaluate("window.isStillHere = true")
        await visitor.page.wait_for_timeout(A_WHILE / 5)
        await _something_new(pool, clock, valkey)
        await expect(visitor.card("news of the day")).to_be_visible(timeout=A_WHILE)
        assert await visitor.page.evaluate("window.isStillHere")


async def test_a_page_that_nothing_happens_on_asks_for_nothing(
    browser: Browser, office: Site
) -> None:
    """Only its stream stays open."""
    async with visiting(browser, office, DESK) as visitor:
        await visitor.open("/")
        await visitor.page.wait_for_timeout(A_WHILE / 5)
        asked: list[str] = []
        visitor.page.on("request", lambda request: asked.append(request.url))
        await visitor.page.wait_for_timeout(A_WHILE)
        assert asked == []


async def test_a_form_that_is_being_filled_in_stays(
    browser: Browser, office: Site, pool: Pool, valkey: EmbeddedValkey
) -> None:
    """The page stays as it is until the form is empty and left again."""
    number = await pool.fetchval("SELECT id FROM deliveries WHERE text = 'the failed one'")
    async with visiting(browser, office, DESK) as visitor:
        await visitor.open(f"/messages/{number}")
        await visitor.write("Reason (optional)", "told by")
        await visitor.page.keyboard.press("Tab")
        await visitor.page.evaluate("document.activeElement.blur()")
        await pool.execute("UPDATE deliveries SET state = 'sent' WHERE id = $1", number)
        await _tell(valkey)
        await visitor.page.wait_for_timeout(A_WHILE)
        box = visitor.page.get_by_label("Reason (optional)")
        await expect(box).to_have_value("told by")
        await box.fill("")
        await visitor.page.evaluate("document.activeElement.blur()")
        state = visitor.page.locator(".card .state").first
        await expect(state).to_have_text("sent", timeout=A_WHILE)


async def test_it_says_that_nobody_answers(browser: Browser, office: Site) -> None:
    """What one sees may be out of date then; the browser has complained of it, too."""
    async with visiting(browser, office, DESK) as visitor:
        await visitor.page.clock.install()
        await visitor.open("/")
        await visitor.page.context.set_offline(offline=True)
        await visitor.page.clock.run_for(2 * 60_000)
        await visitor.sees("Taskbell does not answer at the moment")
        visitor.faults.clear()


async def test_a_rule_that_is_being_tried_shows_its_result(
    browser: Browser, office: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has changed for others, so the page asks by itself, and stops when it has ended."""
    gate = Event()

    async def slowly(*parts: Any) -> Tried:
        *_, since, until, tick = parts
        tick(since + (until - since) / 2)
        assert await asyncio.to_thread(gate.wait, 20)
        return Tried(since, until, 0, ())

    monkeypatch.setattr(rule_backtests, "try_rule", slowly)
    async with visiting(browser, office, DESK) as visitor:
        await visitor.open("/rules/job-done")
        await visitor.press(visitor.page.get_by_role("button", name="Try on the last 30 days"))
        await visitor.page.evaluate("window.isStillHere = true")
        await visitor.sees("50 %")
        await visitor.check()
        gate.set()
        await visitor.sees("It would have acted 0 times")
        assert await visitor.page.evaluate("window.isStillHere")
        assert await visitor.page.locator("#overview[aria-busy]").count() == 0
