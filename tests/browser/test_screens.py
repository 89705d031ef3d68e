"""Every page in a real browser, at a desk and on a phone, in light and dark colours."""

import pytest
from playwright.async_api import Browser

from service.store import Pool
from service.web.screens import sections
from tests.browser import pages
from tests.browser.visitor import DESK, LOOKS, Look, Visitor, sign_in, visiting
from tests.harness.full_office import HOSTILE
from tests.harness.site import Site

_BEGINNING = HOSTILE.partition(" onerror")[0]
_FORMS = "form[method=post]"


async def test_no_page_is_forgotten(office: Site) -> None:
    """The table here must list every route that shows a page."""
    assert pages.routes_of(office) == pages.PAGES.keys()


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_no_page_keeps_people_out(
    browser: Browser, office: Site, pool: Pool, look: Look
) -> None:
    """By axe in light and dark; nothing is too wide, the focus is seen, no policy is broken.

    The browser has no complaint, and asks no other host for anything. At a desk the keyboard leads
    to everything that can be used. Texts of others are texts.
    """
    async with visiting(browser, office, look, "cy") as visitor:
        await pages.try_a_rule(visitor)
        for path in await pages.addresses(pool):
            await visitor.open(path)
            await visitor.check()


async def test_hostile_texts_are_shown(browser: Browser, office: Site, pool: Pool) -> None:
    """As they are, with their markup, wherever a text of others can stand."""
    async with visiting(browser, office, DESK, "cy") as visitor:
        await pages.try_a_rule(visitor)
        for path in await pages.hostile_addresses(pool):
            await visitor.open(path)
            assert _BEGINNING in (await visitor.page.locator("body").text_content() or ""), path


HOSTILE_FORMS = {
    "/silences/preview": {"customer": HOSTILE, "length": "hour", "reason": HOSTILE},
    "/silences": {"rule": HOSTILE, "length": "hour", "reason": HOSTILE},
    "/start": {"system": "plannr", "name": HOSTILE, "base_url": HOSTILE, "timezone": HOSTILE},
    "/rules/edit": {"file": "taskbell.yaml", "text": f"rules:\n- id: {HOSTILE}\n"},
    "/channels/accounting/test": {"target": HOSTILE.partition("\x1b")[0]},
}
_SUBMIT = """([path, fields]) => {
    const form = Object.assign(document.createElement("form"), { method: "post", action: path });
    for (const [name, value] of Object.entries(fields))
        form.append(Object.assign(document.createElement("textarea"), { name, value }));
    document.body.append(form);
    form.submit();
}"""


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_hostile_forms_are_answered_with_texts(
    browser: Browser, office: Site, look: Look
) -> None:
    """Pages that answer a form show what was sent, or what is wrong with it, as text."""
    async with visiting(browser, office, look, "cy") as visitor:
        for path, fields in HOSTILE_FORMS.items():
            await visitor.open("/login")
            async with visitor.page.expect_navigation():
                await visitor.page.evaluate(_SUBMIT, [path, fields])
            await visitor.page.locator("main").wait_for()
            await visitor.check()


async def test_a_viewer_finds_no_button_that_acts(
    browser: Browser, office: Site, pool: Pool
) -> None:
    """On no page; only signing out is left of all that is posted."""
    async with visiting(browser, office, DESK, "cy") as admin:
        await pages.try_a_rule(admin)
    async with visiting(browser, office, DESK, "Bo") as visitor:
        for path in await pages.addresses(pool, pages.PUBLIC | pages.OF_ADMINS):
            await visitor.open(path)
            assert await _acts(visitor) in (["/logout"], []), path
        for route in pages.OF_ADMINS:
            await visitor.open(route)
            await visitor.sees("your role is viewer")
            assert await _acts(visitor) == []


async def _acts(visitor: Visitor) -> list[str | None]:
    """Where the forms of the page lead."""
    forms = visitor.page.locator(_FORMS)
    return [await one.get_attribute("action") for one in await forms.all()]


async def test_a_stranger_sees_no_page(browser: Browser, office: Site, pool: Pool) -> None:
    """Every address shows the sign-in form, and nothing else."""
    async with visiting(browser, office, DESK, None) as visitor:
        for path in await pages.addresses(pool, pages.PUBLIC):
            await visitor.open(path)
            assert visitor.page.url == f"{visitor.url}/login", path
            assert HOSTILE not in await visitor.page.content()


async def test_without_script_one_reads_everything(
    browser: Browser, office: Site, pool: Pool
) -> None:
    """Each page has its content and its buttons from the server."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    url = f"http://127.0.0.1:{office.port}"
    await sign_in(context, url, "cy")
    for words, path in sections():
        await page.goto(url + path)
        assert await page.locator("nav [aria-current=page]").text_content() == words
    for path in await pages.addresses(pool):
        await page.goto(url + path)
        assert await page.locator("main").text_content()
    await context.close()
