"""Somebody at a browser: with a keyboard at a desk, or with a finger on a phone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request

from tests.harness.people import PASSWORDS
from tests.harness.site import Site

Colours: TypeAlias = Literal["light", "dark"]

_OTHER: dict[Colours, Colours] = {"light": "dark", "dark": "light"}
_MOST_STOPS = 400  # of the tabulator on one screen
_OTHER_STOPS = 40  # regions that scroll, parts of a date, the browser itself

_IS_THERE = "wanted => document.activeElement === wanted"
# What takes the focus without that one sees it; who has come by keyboard goes on by keyboard.
_UNSEEN = """() => {
    const stops = "a[href], button:enabled, input:not([type=hidden]), select, summary, [tabindex]";
    return [...document.querySelectorAll(stops)].filter((one) => {
        one.focus();
        return document.activeElement === one && getComputedStyle(one).outlineStyle === "none";
    }).map((one) => one.outerHTML);
}"""
# What only markup of others can be: no template of ours has such an element.
_FOREIGN = """() => {
    const made = document.querySelectorAll(
        "img:not([src$='/static/bell.svg']), script:not([src]), iframe, object, embed, style, "
        + "[onerror], [onfocus], [style]:not(#suggestions), main b b, a[href^='javascript:' i]"
    );
    return [...made].map((one) => one.outerHTML.slice(0, 300));
}"""
# Texts whose marks of direction would turn round what stands behind them in the same line.
_TURNING = """() => {
    const count = (text, marks) => text.match(marks)?.length ?? 0;
    const contains = (box) => {
        const style = getComputedStyle(box);
        return style.display !== "inline" || /isolate|plaintext/.test(style.unicodeBidi);
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const text = texts.currentNode;
        const opened = count(text.data, /[\u202a\u202b\u202d\u202e\u2066-\u2068]/g);
        if (opened <= count(text.data, /[\u202c\u2069]/g)) continue;
        let box = text.parentElement;
        while (!contains(box)) box = box.parentElement;
        const behind = document.createRange();
        behind.setStartAfter(text);
        behind.setEndAfter(box.lastChild);
        if (behind.toString().trim()) found.push(box.outerHTML.slice(0, 300));
    }
    return found;
}"""
# What can be used, and was not reached; `reached` is kept while the tabulator is pressed.
_STOPS = """() => {
    const stops = "a[href], button, input:not([type=hidden]), select, textarea, summary";
    return [...document.querySelectorAll(stops)].filter((one) => !one.disabled
        && one.checkVisibility({ visibilityProperty: true }));
}"""
_BEGIN = """() => {
    document.activeElement?.blur();
    window.reached = new Set();
    document.addEventListener("focusin", (event) => window.reached.add(event.target.outerHTML));
}"""
_MISSED = f"""() => ({_STOPS})().filter((one) => !window.reached.has(one.outerHTML))
    .map((one) => one.outerHTML.slice(0, 300))"""
_JUDGE = "async (rules) => (await axe.run(rules)).violations"
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True, slots=True)
class Look:
    """A screen and its colours. On a phone one taps; at a desk only the keyboard is used."""

    width: int
    height: int
    colours: Colours

    @property
    def is_phone(self) -> bool:
        return self.width < 500

    def __str__(self) -> str:
        return f"{'phone' if self.is_phone else 'desktop'}-{self.colours}"


DESK, PHONE = Look(1280, 900, "light"), Look(390, 844, "dark")
LOOKS = (DESK, PHONE)


@dataclass
class Visitor:
    """A page of a browser; `faults` are what the browser complained of, and strange requests.

    `clicks` counts what was pressed, unfolded and chosen.
    """

    page: Page
    look: Look
    url: str
    faults: list[str] = field(default_factory=list)
    clicks: int = 0

    async def open(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def press(self, button: Locator) -> None:
        """Press it as one does at this screen, and see the page that comes."""
        async with self.page.expect_navigation():
            await self._touch(button)

    async def unfold(self, summary: Locator) -> None:
        await self._touch(summary)

    async def write(self, name: str, text: str) -> None:
        """Fill in the field with this label."""
        box = self.page.get_by_label(name, exact=True)
        if self.look.is_phone:
            await box.fill(text)
            return
        await self.reach(box)
        await self.page.keyboard.insert_text(text)

    async def choose(self, name: str, label: str) -> None:
        """Choose of the list with this label."""
        self.clicks += 1
        box = self.page.get_by_role("combobox", name=name, exact=True)
        if self.look.is_phone:
            await box.select_option(label=label)
            return
        await self.reach(box)
        await self.page.keyboard.type(label)

    async def reach(self, wanted: Locator) -> None:
        """Go from stop to stop until it has the focus."""
        element = await wanted.element_handle()
        for _ in range(_MOST_STOPS):
            if await self.page.evaluate(_IS_THERE, element):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"no key leads to {await wanted.text_content()}")

    async def check(self) -> None:
        """Nothing on the page keeps people out, in no colours, and it is as wide as the screen.

        Texts of others are texts, and at a desk the keyboard leads everywhere.
        """
        await self.page.evaluate(Axe().axe_script)
        await self._judge({})
        await self.page.emulate_media(color_scheme=_OTHER[self.look.colours])
        await self._judge({"runOnly": ["color-contrast"]})
        await self.page.emulate_media(color_scheme=self.look.colours)
        overflow = await self.page.evaluate(_OVERFLOW)
        assert overflow <= 0, f"{self.page.url} at {self.look} is {overflow} pixels too wide"
        await self.page.keyboard.press("Tab")
        unseen = await self.page.evaluate(_UNSEEN)
        assert unseen == [], f"{self.page.url} at {self.look}: nobody sees the focus of {unseen}"
        for what, script in (("is not ours", _FOREIGN), ("turns what follows", _TURNING)):
            found = await self.page.evaluate(script)
            assert found == [], f"{self.page.url} at {self.look}: this {what}: {found}"
        if not self.look.is_phone:
            await self._walk()
        assert self.faults == [], f"{self.page.url} at {self.look}"

    async def _walk(self) -> None:
        """From one end of the page to the other by the tabulator."""
        await self.page.evaluate(_BEGIN)
        # A live update in between replaces what was reached, and the focus may begin again.
        for _ in range(2 * await self.page.evaluate(f"({_STOPS})().length") + _OTHER_STOPS):
            await self.page.keyboard.press("Tab")
        missed = await self.page.evaluate(_MISSED)
        assert missed == [], f"{self.page.url}: no key leads to {missed}"

    async def _judge(self, rules: dict[str, Any]) -> None:
        found = await self.page.evaluate(_JUDGE, {**rules, "resultTypes": ["violations"]})
        grave = [
            f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in {"serious", "critical"}
        ]
        assert not grave, f"{self.page.url} at {self.look}: {grave}"

    def card(self, text: str) -> Locator:
        """The card with this text."""
        return self.page.locator(".card", has_text=text)

    async def decide(self, text: str, button: str) -> None:
        """Press a button of the card with this text."""
        await self.press(self.card(text).get_by_role("button", name=button, exact=True))

    async def sees(self, text: str) -> None:
        await self.page.get_by_text(text).first.wait_for()

    async def _touch(self, one: Locator) -> None:
        self.clicks += 1
        if self.look.is_phone:
            await one.tap()
            return
        await self.reach(one)
        await self.page.keyboard.press("Enter")

    def hear(self, said: ConsoleMessage) -> None:
        # That a page is an answer of 404 is not its fault.
        if said.type == "error" and said.location["url"] != self.page.url:
            self.faults.append(said.text)

    def notice(self, request: Request) -> None:
        if not request.url.startswith(self.url):
            self.faults.append(request.url)


async def sign_in(context: BrowserContext, url: str, name: str) -> None:
    """Begin a session without the form."""
    await context.request.post(f"{url}/login", form={"name": name, "password": PASSWORDS[name]})


@asynccontextmanager
async def visiting(
    browser: Browser, site: Site, look: Look, name: str | None = "anna"
) -> AsyncIterator[Visitor]:
    """A new visitor, who has signed in by this name; at the end the browser has had no fault."""
    context = await browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme=look.colours,
        has_touch=look.is_phone,
        is_mobile=look.is_phone,
    )
    visitor = Visitor(await context.new_page(), look, f"http://127.0.0.1:{site.port}")
    visitor.page.set_default_timeout(45_000)
    visitor.page.on("console", visitor.hear)
    visitor.page.on("pageerror", lambda error: visitor.faults.append(str(error)))
    context.on("request", visitor.notice)
    if name is not None:
        await sign_in(context, visitor.url, name)
    yield visitor
    assert visitor.faults == []
    await context.close()
