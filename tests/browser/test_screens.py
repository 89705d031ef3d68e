"""Every screen in a real browser, at a desk and on a phone, in light and dark colours."""

import pytest
from playwright.async_api import Browser
from pydantic import SecretStr

from service.domain.contacts import Receivers, keys_in
from service.outbox.approvals import DeliveryLinks, LinkTo
from service.rules.contacts.unsubscribe_links import UnsubscribeLinks
from service.store import Pool
from service.web.screens import sections
from tests.browser.conftest import TOKEN
from tests.browser.visitor import DESK, LOOKS, Look, sign_in, visiting
from tests.harness.site import Site

DETAILS = (
    "/coming?within=7d",
    "/messages?q=nobody",
    "/messages/999",
    "/tasks?q=nobody",
    "/tasks/london/T1",
    "/tasks/london/T3",
    "/tasks/london/T%2F4%3F%3Cb%3E",
    "/tasks/london/none",
    "/rules/job-done",
    "/rules/hostile",
    "/backtests/job-done",
    "/backtests/overdue-nudge",
    "/previews?account=london&task=T1&rule=job-done",
    "/previews?account=london&task=T%2F4%3F%3Cb%3E&rule=overdue-nudge",
    "/previews?account=london&task=T1&rule=off-today",
    "/rule-tests?account=london&task=T1&rule=overdue-nudge",
    "/silences?rule=job-done",
    "/contacts",
    "/contacts?show=agreed&search=nobody",
    "/contacts?show=agreed",
    "/start",
    "/webhooks",
    "/webhooks/1",
    "/webhooks/3",
    "/login",
    "/approvals/1?token=guessed",
)
TEXTS = ("the failed one", "the unknown one", "the planned one", "to Smith", "the first that asks")


async def approval_link(pool: Pool, text: str) -> str:
    """What was sent to whoever is to approve this message."""
    [row] = await pool.fetch("SELECT id, key FROM deliveries WHERE text = $1", text)
    return DeliveryLinks("", SecretStr(TOKEN)).to(LinkTo.APPROVE, row["id"], str(row["key"]))


def unsubscribe_link() -> str:
    """What stands in a mail to a customer."""
    links = UnsubscribeLinks("https://tasks.test", SecretStr(TOKEN))
    link = links.to(Receivers((keys_in("ida@c.test"),)), "ida@c.test") or ""
    return link.removeprefix("https://tasks.test")


async def _messages(pool: Pool) -> list[str]:
    """The screens of messages, one of each kind, and of the one with hostile texts."""
    rows = await pool.fetch(
        "SELECT max(id) AS id FROM deliveries WHERE text = ANY($1) OR channel = 'email'"
        " GROUP BY text",
        TEXTS,
    )
    return [f"/messages/{row['id']}" for row in rows]


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_no_section_keeps_people_out(browser: Browser, office: Site, look: Look) -> None:
    """By axe in light and dark; nothing is too wide, the focus is seen, no policy is broken.

    The browser has no complaint, and asks no other host for anything.
    """
    async with visiting(browser, office, look) as visitor:
        for _, path in sections():
            await visitor.open(path)
            await visitor.check()


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_no_page_behind_a_section_keeps_people_out(
    browser: Browser, office: Site, pool: Pool, look: Look
) -> None:
    """Of each kind one: a task, a message in each state, what is not found, an approver's link."""
    asked = await approval_link(pool, "the first that asks")
    async with visiting(browser, office, look) as visitor:
        for path in (*DETAILS, *await _messages(pool), asked, unsubscribe_link()):
            await visitor.open(path)
            await visitor.check()


async def test_hostile_texts_stay_texts(browser: Browser, office: Site) -> None:
    """Markup of foreign systems is shown and does nothing: no script and no picture of theirs."""
    async with visiting(browser, office, DESK) as visitor:
        for path in ("/", "/messages", "/tasks", "/silences", "/contacts", "/audit"):
            await visitor.open(path)
            await visitor.sees("<script>alert(1)</script>")
            assert await visitor.page.locator("img:not([src$='bell.svg'])").count() == 0
            assert await visitor.page.locator("script:not([src])").count() == 0


async def test_a_viewer_finds_no_button_that_acts(browser: Browser, office: Site) -> None:
    """Only signing out is left of all that is posted."""
    async with visiting(browser, office, DESK, "Bo") as visitor:
        for _, path in sections():
            await visitor.open(path)
            forms = visitor.page.locator("form[method=post]")
            assert [await one.get_attribute("action") for one in await forms.all()] == ["/logout"]


async def test_without_script_one_reads_everything(browser: Browser, office: Site) -> None:
    """Each screen has its content and its buttons from the server."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    url = f"http://127.0.0.1:{office.port}"
    await sign_in(context, url, "anna")
    for words, path in sections():
        await page.goto(url + path)
        assert await page.locator("nav [aria-current=page]").text_content() == words
        assert await page.locator("main").text_content()
    await context.close()
