"""The rule editor in a real browser: at a desk by keyboard alone, on a phone by tapping."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, expect

from service.clock import VirtualClock
from service.domain.model import Kind
from service.store import Pool
from tests.browser.visitor import DESK, LOOKS, Look, Visitor, sign_in, visiting
from tests.harness.history import record
from tests.harness.site import Site
from tests.harness.tasks import task

NEW_RULE = "- id: by-hand\n  when: task.created\n  then: [{ notify: accounting }]\n"


@pytest.fixture
async def cy(browser: Browser, office: Site) -> AsyncIterator[Visitor]:
    """An admin at a desk."""
    async with visiting(browser, office, DESK, "cy") as visitor:
        yield visitor


def text_of(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("textbox", name="taskbell.yaml")


def options(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("listbox", name="Suggestions").get_by_role("option")


async def put_cursor_behind(visitor: Visitor, words: str) -> None:
    """Into the text, to the first place behind these words."""
    await visitor.reach(text_of(visitor))
    await text_of(visitor).evaluate(
        "(text, words) => { const at = text.value.indexOf(words) + words.length;"
        " text.setSelectionRange(at, at); }",
        words,
    )


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_the_editor_keeps_nobody_out(browser: Browser, office: Site, look: Look) -> None:
    """By axe in light and dark, with faults, with suggestions, and with everything unfolded."""
    async with visiting(browser, office, look, "cy") as visitor:
        await visitor.open("/rules/edit")
        await expect(visitor.page.locator("#faults h2")).not_to_be_empty()
        for words in ("Try the rules on a task", "Start from a recipe"):
            await visitor.unfold(visitor.page.locator("summary", has_text=words))
        await visitor.check()
        await text_of(visitor).fill("rules:\n- id: x\n  whe: task.created\n  ")
        await expect(visitor.page.locator("#faults .failed").first).to_be_visible()
        await visitor.check()
        await text_of(visitor).focus()
        await visitor.page.keyboard.press("Control+Space")
        await expect(options(visitor).first).to_be_visible()
        await visitor.check()


async def test_faults_come_as_one_types(cy: Visitor) -> None:
    """In the list and beside their line; a link leads there; what is mended is gone."""
    await cy.open("/rules/edit")
    await put_cursor_behind(cy, "when: task.completed")
    await cy.page.keyboard.type("x<b>")
    link = cy.page.locator("#faults li", has=cy.page.locator(".failed")).get_by_role("link")
    await expect(link).to_have_count(1)
    line = (await link.inner_text()).partition(",")[0].removeprefix("Line ")
    await expect(cy.page.locator("#gutter .error")).to_have_text(line)
    await expect(cy.page.locator("#faults b, #faults script")).to_have_count(0)
    await cy.reach(link)
    await cy.page.keyboard.press("Enter")
    before = await text_of(cy).evaluate("(text) => text.value.slice(0, text.selectionStart)")
    assert before.count("\n") + 1 == int(line)
    await put_cursor_behind(cy, "task.completedx<b>")
    for _ in "x<b>":
        await cy.page.keyboard.press("Backspace")
    await expect(link).to_have_count(0)
    await expect(cy.page.locator("#gutter .error")).to_have_count(0)


async def test_suggestions_are_chosen_by_keyboard(cy: Visitor) -> None:
    """Ctrl-Space opens them, arrows choose, Enter takes one, Escape closes; Tab leads out."""
    await cy.open("/rules/edit")
    await put_cursor_behind(cy, "\nrules:")
    await cy.page.keyboard.press("Enter")
    await cy.page.keyboard.type("- id: by-hand")
    await cy.page.keyboard.press("Enter")
    await cy.page.keyboard.type("  whe")
    await expect(options(cy)).to_have_text(["whenThe event that triggers the rule."])
    await cy.page.keyboard.press("Control+Space")
    await expect(options(cy).first).to_have_attribute("aria-selected", "true")
    active = await text_of(cy).get_attribute("aria-activedescendant")
    assert active == await options(cy).first.get_attribute("id")
    await cy.page.keyboard.press("Enter")
    await expect(options(cy)).to_have_count(0)
    await cy.page.keyboard.type("task.re")
    await cy.page.keyboard.press("Control+Space")
    await expect(options(cy)).to_have_count(4)
    await cy.page.keyboard.press("ArrowDown")
    chosen = await options(cy).nth(1).inner_text()
    await cy.page.keyboard.press("Enter")
    value = await text_of(cy).input_value()
    assert f"\nrules:\n- id: by-hand\n  when: {chosen}\n" in value
    await cy.page.keyboard.press("Control+Space")
    await cy.page.keyboard.press("Escape")
    await expect(options(cy)).to_have_count(0)
    await cy.page.keyboard.press("Tab")
    await expect(cy.page.get_by_role("button", name="Check")).to_be_focused()


async def test_a_new_rule_is_tried_and_saved(
    cy: Visitor, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """First on a task, then with its effects, and then in the file."""
    await record(pool, task(title="New gutters"), Kind.CREATED, at=clock.now())
    await cy.open("/rules")
    await cy.press(cy.page.get_by_role("link", name="Edit the rules"))
    await put_cursor_behind(cy, "\nrules:\n")
    await cy.page.keyboard.insert_text(NEW_RULE)
    await cy.unfold(cy.page.locator("summary", has_text="Try the rules"))
    await cy.write("Task, by title or number", "T1")
    async with cy.page.expect_navigation():
        await cy.page.keyboard.press("Enter")
    await expect(cy.card("by-hand").locator(".state")).to_have_text("acted")
    await cy.check()
    await cy.press(cy.page.get_by_role("button", name="Review and save"))
    await cy.sees("+- id: by-hand")
    await cy.check()
    await cy.press(cy.page.get_by_role("button", name="Save taskbell.yaml"))
    await cy.sees("Saved.")
    assert NEW_RULE in (tmp_path / "taskbell.yaml").read_text()


async def test_a_recipe_is_filled_in(cy: Visitor) -> None:
    """Its rule stands in the text, which is not saved."""
    await cy.open("/rules/edit")
    await cy.unfold(cy.page.locator("summary", has_text="Start from"))
    form = cy.page.get_by_role("group", name="My day")
    await cy.reach(form.get_by_label("Time"))
    await cy.page.keyboard.press("Control+A")
    await cy.page.keyboard.insert_text("06:45")
    await cy.press(form.get_by_role("button", name="Add this rule"))
    await cy.sees("It is not saved yet.")
    assert 'schedule: "45 6 * * 1-5"' in await text_of(cy).input_value()


async def test_without_script_the_buttons_do_it(browser: Browser, office: Site) -> None:
    """The text is checked and stays as it was typed."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    url = f"http://127.0.0.1:{office.port}"
    await sign_in(context, url, "cy")
    await page.goto(f"{url}/rules/edit")
    await page.fill("#text", "rules:\n- id: x\n")
    await page.get_by_role("button", name="Check").click()
    assert "error" in await page.locator("#faults h2").inner_text()
    assert await page.locator("#text").input_value() == "rules:\n- id: x\n"
    await context.close()
