"""The page brings itself up to date, and takes nothing away from somebody who is at work on it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from redis.asyncio import Redis

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Kind, State
from service.domain.operators.overrides import Mode
from service.domain.operators.silences import Silence
from service.doorbell import CHANGES
from service.outbox import rule_switches, silences
from service.processes.embedded import EmbeddedValkey
from service.simulator.rule_backtest import Tried
from service.store import Pool
from service.store.operators.rule_overrides import Switch
from service.web.presenters import rule_backtests
from tests.browser.visitor import DESK, visiting
from tests.harness.history import know, plan, record
from tests.harness.site import Site
from tests.harness.tasks import task

A_WHILE = 5_000  # milliseconds, after which the page shows what it was told of


async def _something_new(pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey) -> None:
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    await plan(pool, event, text=NEWS, send_at=clock.now() + timedelta(hours=1))
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
        await expect(visitor.card(NEWS)).to_be_visible(timeout=A_WHILE)
        assert await visitor.page.evaluate("window.isStillHere")


NEWS = "news of the day"
# As many at a time as a browser has connections to a host, less one for what they ask for.
LISTS = (
    ("/", "/coming", "/messages", "/tasks", "/tasks/london/T1"),
    ("/rules", "/rules/overdue-nudge", "/silences", "/connections", "/audit"),
    ("/webhooks",),
)


async def _something_new_everywhere(
    pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Something that each list shows, with the same words."""
    now, anna = clock.now(), Actor("anna")
    await know(pool, task("T9", title=NEWS), at=now)
    switch = Switch(Mode.OFF, anna, now, NEWS)
    await rule_switches.switch(pool, "overdue-nudge", Mode.ON, switch)
    silence = Silence(0, now, now + timedelta(hours=1), NEWS, account="sales")
    await silences.add(pool, silence, anna, now)
    failed = await record(pool, task("T8"), Kind.COMPLETED, at=now)
    number = await plan(pool, failed, State.FAILED, channel="accounting", target="")
    await pool.execute(
        "UPDATE deliveries SET reason = $2, settled_at = $3, lane = 'accounting' WHERE id = $1",
        *(number, NEWS, now),
    )
    await pool.execute(
        "UPDATE receipts SET state = 'poison', reason = $1 WHERE state = 'pending'", NEWS
    )
    await _something_new(pool, clock, valkey)


@pytest.mark.parametrize("paths", LISTS)
async def test_every_list_shows_what_happens_meanwhile(
    browser: Browser,
    office: Site,
    pool: Pool,
    clock: VirtualClock,
    valkey: EmbeddedValkey,
    paths: Sequence[str],
) -> None:
    """Without a reload, on several pages at a time."""
    async with visiting(browser, office, DESK) as visitor:
        pages = [await visitor.page.context.new_page() for _ in paths]
        for page, path in zip(pages, paths, strict=True):
            async with page.expect_response("**/live"):
                await page.goto(visitor.url + path)
            await page.evaluate("window.isStillHere = true")
            await expect(page.get_by_text(NEWS)).to_have_count(0)
        await _something_new_everywhere(pool, clock, valkey)
        for page in pages:
            news = page.get_by_text(NEWS).filter(visible=True)
            await expect(news.first).to_be_visible(timeout=3 * A_WHILE)
            assert await page.evaluate("window.isStillHere")


AT_WORK = (
    ("/silences", "document.querySelector('[name=rule]').value = 'job'"),
    ("/silences", "document.querySelector('[name=everything]').click()"),
    ("/silences", "document.querySelector('[name=length]').selectedIndex = 2"),
    ("/rules", "document.querySelector('[name=reason]').value = 'as agreed'"),
    ("/rules/job-done", "getSelection().selectAllChildren(document.querySelector('.sentence'))"),
    ("/tasks/london/T1", "document.querySelectorAll('#rules details')[1].open = true"),
    ("/connections", "document.querySelector('[name=target]').value = 'me@firm.test'"),
)


@pytest.mark.parametrize(("path", "work"), AT_WORK)
async def test_whoever_is_at_work_on_a_list_is_left_alone(
    browser: Browser, office: Site, valkey: EmbeddedValkey, path: str, work: str
) -> None:
    """What is written, chosen, marked or unfolded stays; what came filled in is no work."""
    async with visiting(browser, office, DESK) as visitor:
        async with visitor.page.expect_response("**/live"):
            await visitor.open(path)
        await visitor.page.evaluate("document.getElementById('overview').className = 'as-it-was'")
        await visitor.page.evaluate(work)
        await _tell(valkey)
        await visitor.page.wait_for_timeout(A_WHILE)
        assert await visitor.page.locator(".as-it-was").count() == 1
        await visitor.page.reload()
        await visitor.page.evaluate("document.getElementById('overview').className = 'as-it-was'")
        await _tell(valkey)
        await expect(visitor.page.locator(".as-it-was")).to_have_count(0, timeout=2 * A_WHILE)


async def test_whoever_goes_by_keyboard_stays_at_their_place(
    browser: Browser, office: Site, valkey: EmbeddedValkey
) -> None:
    """The link that has the focus has it afterwards, too."""
    async with visiting(browser, office, DESK) as visitor:
        async with visitor.page.expect_response("**/live"):
            await visitor.open("/tasks")
        await visitor.reach(visitor.page.get_by_role("link", name="Mow"))
        await visitor.page.evaluate("document.getElementById('overview').className = 'as-it-was'")
        await _tell(valkey)
        await expect(visitor.page.locator(".as-it-was")).to_have_count(0, timeout=2 * A_WHILE)
        await expect(visitor.page.get_by_role("link", name="Mow")).to_be_focused()


async def test_a_page_that_nobody_sees_gives_its_connection_back(
    browser: Browser, office: Site
) -> None:
    """A browser has six of them for a host; it shows what is new once it is seen again."""
    async with visiting(browser, office, DESK) as visitor:
        page = visitor.page
        async with page.expect_response("**/live"):
            await visitor.open("/tasks")
        async with page.expect_event("requestfailed", lambda one: one.url.endswith("/live")):
            await page.evaluate(_SEEN.replace("SEEN", "hidden"))
        async with page.expect_response("**/live"), page.expect_response("**/tasks?"):
            await page.evaluate(_SEEN.replace("SEEN", "visible"))


# Chromium without a window shows all its pages.
_SEEN = """() => {
    const hidden = { get: () => "SEEN" === "hidden", configurable: true };
    Object.defineProperty(document, "hidden", hidden);
    document.dispatchEvent(new Event("visibilitychange"));
}"""


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
    """The page polls the result by itself, and stops when the run has ended."""
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
