"""The page brings itself up to date, and takes nothing away from somebody who is at work on it."""

from datetime import timedelta

from playwright.async_api import Browser, expect

from service.clock import VirtualClock
from service.domain.model import Kind
from service.store import Pool
from tests.browser.visitor import DESK, Visitor, visiting
from tests.harness.history import plan, record
from tests.harness.site import Site
from tests.harness.tasks import task

A_WHILE = 6_000  # milliseconds, after which the page has asked


async def _something_new(pool: Pool, clock: VirtualClock) -> None:
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    await plan(pool, event, text="news of the day", send_at=clock.now() + timedelta(hours=1))


async def _ask(visitor: Visitor) -> None:
    """The time passes after which the page asks; returns when it has its answer, if it asks."""
    await visitor.page.clock.run_for(A_WHILE)
    await visitor.page.wait_for_load_state("networkidle")


async def test_what_happens_meanwhile_is_shown(
    browser: Browser, office: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Without a reload: what was marked on the page before would be gone."""
    async with visiting(browser, office, DESK) as visitor:
        await visitor.page.clock.install()
        await visitor.open("/")
        await visitor.page.evaluate("window.isStillHere = true")
        await _something_new(pool, clock)
        await _ask(visitor)
        await expect(visitor.card("news of the day")).to_be_visible()
        assert await visitor.page.evaluate("window.isStillHere")


async def test_a_form_that_is_being_filled_in_stays(
    browser: Browser, office: Site, pool: Pool
) -> None:
    """The page stays as it is until the form is empty and left again."""
    number = await pool.fetchval("SELECT id FROM deliveries WHERE text = 'the failed one'")
    async with visiting(browser, office, DESK) as visitor:
        await visitor.page.clock.install()
        await visitor.open(f"/messages/{number}")
        await visitor.write("Reason (optional)", "told by")
        await visitor.page.keyboard.press("Tab")
        await visitor.page.evaluate("document.activeElement.blur()")
        await pool.execute("UPDATE deliveries SET state = 'sent' WHERE id = $1", number)
        await _ask(visitor)
        box = visitor.page.get_by_label("Reason (optional)")
        await expect(box).to_have_value("told by")
        await box.fill("")
        await visitor.page.evaluate("document.activeElement.blur()")
        await _ask(visitor)
        await expect(visitor.page.locator(".card .state").first).to_have_text("sent")


async def test_it_says_that_nobody_answers(browser: Browser, office: Site) -> None:
    """What one sees may be out of date then; the browser has complained of it, too."""
    async with visiting(browser, office, DESK) as visitor:
        await visitor.page.clock.install()
        await visitor.open("/")
        await visitor.page.context.set_offline(offline=True)
        await _ask(visitor)
        await visitor.sees("Taskbell does not answer at the moment")
        visitor.faults.clear()
