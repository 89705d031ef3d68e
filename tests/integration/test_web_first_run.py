"""The first steps: a checklist for each system, and a configuration that can be used as it is."""

import re
from html import unescape
from pathlib import Path

import httpx
import pytest

from service.clock import VirtualClock
from service.config import check, load
from service.processes.embedded import EmbeddedValkey
from service.sources import systems, title_of
from service.store import Pool
from tests.harness.site import Site, serving

COMPANY = {"kickserv": "acme", "plannr": "0f6a0c3e", "letsligo": "", "rolodex": ""}
HOSTILE = '"><script>alert(1)</script>\u202e'


def filled(system: str, **more: str) -> dict[str, str]:
    given = {
        "system": system,
        "name": "first",
        "base_url": "https://api.example.com",
        "company": COMPANY[system],
        "variable": "MY_TOKEN",
        "timezone": "Europe/London",
    }
    return {**given, **more}


async def sent(web: Site, form: dict[str, str], path: str = "/start") -> httpx.Response:
    return await web.client.post(path, data=form, headers={"accept": "text/html"})


async def test_there_is_a_checklist_for_each_system(web: Site) -> None:
    """What the token is, how the webhook is set up, and a form; without any script."""
    page = (await web.client.get("/start")).text
    for name, source in systems().items():
        assert f"<b>{title_of(name)}</b>" in page
        assert source.guide.credential in unescape(page)
        assert source.guide.webhook in unescape(page)
        assert f'value="{name.upper()}_TOKEN"' in page
    assert "<script" not in page


@pytest.mark.parametrize("system", sorted(systems()))
async def test_the_file_can_be_used_as_it_is(web: Site, system: str, tmp_path: Path) -> None:
    """It is shown, then downloaded, and `taskbell check` finds nothing in it."""
    shown = await sent(web, filled(system))
    assert shown.status_code == 200, shown.text
    assert "export MY_TOKEN=" in shown.text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown.text))
    file = await sent(web, {one: unescape(hidden[one]) for one in filled(system)}, DOWNLOAD)
    assert file.headers["content-disposition"] == 'attachment; filename="taskbell.yaml"'
    (path := tmp_path / "taskbell.yaml").write_text(file.text)
    assert check(path, {"MY_TOKEN": "secret"}) == []
    account = load(path, {"MY_TOKEN": "secret"}).accounts["first"]
    assert account.base_url == "https://api.example.com"
    assert account.token.get_secret_value() == "secret"
    for name, company in zip(account.tenant_options, [COMPANY[system]], strict=False):
        assert getattr(account, name) == (company or None)


DOWNLOAD = "/start/taskbell.yaml"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"variable": "sk-live-0123456789"}, "and not the token itself"),
        ({"base_url": "${file:/etc/passwd}"}, "Address: at most 200 characters on one line"),
        ({"base_url": "${HOME}"}, "Address: at most 200 characters on one line"),
        ({"base_url": "ftp://x"}, "must be an address that begins with https:// or http://"),
        ({"company": "a\nwebhook: none"}, "Company: at most 200 characters on one line"),
        ({"timezone": "Mars/Base"}, "Mars/Base"),
        ({"name": HOSTILE}, "<script>alert(1)</script>"),
        ({"name": "x" * 10_000}, "Name: at most 200 characters on one line"),
    ],
)
async def test_what_is_wrong_is_said_in_words(web: Site, wrong: dict[str, str], said: str) -> None:
    """Nothing is read from the server, no token is shown again, and hostile text is text."""
    answer = await sent(web, filled("kickserv", **wrong))
    assert answer.status_code == 400
    assert said in unescape(answer.text)
    assert "Download taskbell.yaml" not in answer.text
    assert "<script" not in answer.text
    assert "sk-live-0123456789" not in answer.text
    assert (await sent(web, filled("kickserv", **wrong), DOWNLOAD)).status_code == 400


async def test_another_system_is_refused(web: Site) -> None:
    """The known ones are named."""
    answer = await sent(web, {"system": "oracle"})
    assert answer.status_code == 400
    assert "kickserv, letsligo, plannr, rolodex" in answer.text


async def test_without_accounts_today_leads_to_it(
    pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    """All is not well as long as nothing is connected."""
    (path := tmp_path / "taskbell.yaml").write_text("version: 1\n")
    async with serving(load(path, {}), pool, clock, valkey.url) as web:
        page = (await web.client.get("/")).text
    assert "No system is connected yet." in page
    assert 'href="/start"' in page
    assert "All is well" not in page
