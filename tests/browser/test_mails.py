"""Mails as a browser shows them, whatever stands in a task."""

import pytest
from playwright.async_api import Browser

from service.channels.email.html import page
from service.rules.language.templates import template

TEXTS = (
    "{{ task.title }} at 12:30\n\n> {{ task.title }}\n\n- `{{ task.title }}`",
    "# {{ task.title }}\n\n[{{ task.title }}]({{ task.title }})\n\n```\n{{ task.title }}\n```",
    "| {{ task.title }} | by |\n|---|---|\n| {{ task.title }} | 12:30 |",
)
HOSTILE = (
    "W" * 3000,
    "https://x.test/" + "a" * 2000,
    "<script>document.title = 1</script><img src='http://127.0.0.1:9/x' onerror='alert(1)'>",
    "</td></table></main><h1>big</h1>",
    "![x](http://127.0.0.1:9/x)",
    "javascript:alert(1)",
)
SEEN = """() => [
    document.documentElement.scrollWidth <= innerWidth,
    document.querySelectorAll('script, img, iframe, form').length,
    [...document.links].filter(one => !one.protocol.startsWith('http')).length,
]"""


@pytest.mark.parametrize("title", HOSTILE, ids=lambda title: title[:20])
async def test_no_title_spoils_a_mail(browser: Browser, title: str) -> None:
    """It fits the window of a phone, loads and runs nothing, and leads nowhere but to the web."""
    shown = await browser.new_page(viewport={"width": 360, "height": 640})
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    for text in TEXTS:
        made, _ = template(text, ())
        assert made is not None
        told = made.rendered({"task": {"title": title}})
        await shown.set_content(page("Hello", told.text, told.markup))
        assert await shown.evaluate(SEEN) == [True, 0, 0], text
    assert asked == []
    await shown.close()
