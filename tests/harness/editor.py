"""The rule editor as a browser uses it: its page, its form and its buttons."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from service.clock import VirtualClock
from service.config import load
from service.store import Pool
from tests.harness.site import CONFIGURATION, Site, serving

PAGE = {"accept": "text/html"}
MORE = """\
- id: overdue-nudge
  when: { task.overdue: 2h }
  then: [{ notify: accounting, text: "{{ task.title }} is open" }]
"""

Firm: TypeAlias = Callable[..., AbstractAsyncContextManager[Site]]


def firm_in(folder: Path, pool: Pool, clock: VirtualClock, redis_url: str) -> Firm:
    """Sites whose configuration is in this folder; `edit` is the setting."""
    folder.mkdir()

    def opened(
        text: str = CONFIGURATION,
        edit: str = "on",
        token: str | None = None,
        environ: dict[str, str] | None = None,
        **others: str,
    ) -> AbstractAsyncContextManager[Site]:
        (folder / "main.yaml").write_text(text)
        for name, more in others.items():
            (folder / f"{name}.yaml").write_text(more)
        config = load(folder, environ or {})
        settings: dict[str, Any] = {"TASKBELL_CONFIG": str(folder), "TASKBELL_EDIT": edit}
        return serving(config, pool, clock, redis_url, token, **settings)

    return opened


def form_of(page: httpx.Response) -> dict[str, str]:
    """The form of the page as a browser would send it, without the recipes."""
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
    text = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)
    assert text is not None, page.text
    return {**{name: unescape(one) for name, one in hidden.items()}, "text": unescape(text[1])}


async def opened(web: Site, name: str = "main.yaml") -> dict[str, str]:
    page = await web.client.get(f"/rules/edit?file={name}", headers=PAGE)
    assert page.status_code == HTTPStatus.OK, page.text
    return form_of(page)


async def press(web: Site, form: dict[str, str], do: str, **more: str) -> httpx.Response:
    sent = {**form, "text": form["text"].replace("\n", "\r\n"), "do": do, **more}
    return await web.client.post("/rules/edit", data=sent, headers=PAGE)


async def faults(web: Site, form: dict[str, str]) -> list[dict[str, Any]]:
    """What the script is told."""
    answer = await web.client.post("/rules/edit/check", data=form)
    assert answer.status_code == HTTPStatus.OK, answer.text
    found: list[dict[str, Any]] = answer.json()["faults"]
    return found


async def deeds(pool: Pool) -> list[tuple[str, ...]]:
    rows = await pool.fetch("SELECT by, action, subject, detail FROM changes ORDER BY id")
    return [tuple(row) for row in rows]
