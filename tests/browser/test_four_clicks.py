"""What an office manager does most, from Today by the page alone: each in at most four clicks."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser.visitor import LOOKS, Visitor, visiting
from tests.harness.site import Site


@pytest.fixture(params=LOOKS, ids=str)
async def anna(
    browser: Browser, office: Site, request: pytest.FixtureRequest
) -> AsyncIterator[Visitor]:
    """She has just opened the page, and has not clicked yet."""
    async with visiting(browser, office, request.param) as visitor:
        await visitor.open("/")
        yield visitor
        assert visitor.clicks <= 4


async def go(visitor: Visitor, screen: str) -> None:
    """By the navigation."""
    await visitor.press(visitor.page.get_by_role("navigation").first.get_by_text(screen))


async def test_find_why_a_customer_was_not_told(anna: Visitor) -> None:
    """The task is looked for by its title; each rule says why it did not act."""
    await go(anna, "Tasks")
    await anna.write("Title, customer, person or task number", "mow")
    await anna.press(anna.page.get_by_role("button", name="Search"))
    await anna.press(anna.page.get_by_role("link", name="Mow").first)
    rule = anna.page.locator("#rules details").first
    await anna.unfold(rule.locator("summary"))
    await expect(rule).to_have_attribute("open", "")


async def test_hold_everything_for_the_afternoon(anna: Visitor) -> None:
    """The hold that is on already is released first, so that there is something to hold."""
    await anna.unfold(anna.page.get_by_text("Release them now…"))
    await anna.decide("All customer messages", "Yes, release them")
    anna.clicks = 0
    await anna.unfold(anna.page.get_by_text("Hold all customer messages…"))
    await anna.choose("How long", "until this evening, 18:00")
    await anna.write("Reason", "ice on the roads")
    await anna.press(anna.page.get_by_role("button", name="Hold all customer messages"))
    await expect(anna.card("All customer messages")).to_be_visible()


async def test_put_a_rule_on_trial(anna: Visitor) -> None:
    """And see it there."""
    await go(anna, "Rules")
    await anna.press(anna.page.get_by_role("link", name="job-done").first)
    await anna.decide("job-done", "Switch to trial")
    await expect(anna.card("job-done").first.locator(".state")).to_have_text("on trial")


async def test_see_what_it_would_have_done(anna: Visitor) -> None:
    """On the last thirty days."""
    await go(anna, "Rules")
    await anna.press(anna.page.get_by_role("link", name="overdue-nudge").first)
    await anna.press(anna.page.get_by_role("button", name="Try on the last 30 days"))
    await anna.sees("It would have acted")


async def test_switch_it_on(anna: Visitor) -> None:
    """A rule that is off in the file."""
    await go(anna, "Rules")
    await anna.press(anna.page.get_by_role("link", name="off-today").first)
    await anna.decide("off-today", "Switch on")
    await expect(anna.card("off-today").first.locator(".state")).to_have_text("on")


async def test_silence_a_customer(anna: Visitor) -> None:
    """What it hides is shown before it is saved."""
    await go(anna, "Silences")
    await anna.write("Customer", "Smith")
    await anna.choose("How long", "for 1 hour")
    await anna.write("Reason", "asked for peace")
    await anna.press(anna.page.get_by_role("button", name="Show what it hides"))
    await anna.press(anna.page.get_by_role("button", name="Silence", exact=True))
    await expect(anna.card("Smith").first.locator(".state")).to_have_text("on")


async def test_settle_an_unknown(anna: Visitor) -> None:
    """She has called the customer."""
    await anna.decide("the unknown one", "It arrived")
    await expect(anna.card("the unknown one").first.locator(".state")).to_have_text("sent")
