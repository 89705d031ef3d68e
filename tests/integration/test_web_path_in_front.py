"""Taskbell below a path of another site: by TASKBELL_URL, whether a proxy hands it on or not."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.errors import SettingsError
from service.processes.embedded import EmbeddedValkey
from service.settings import read_settings
from service.store import Pool
from tests.harness.site import Site, site

TOKEN = "s3cret-of-the-page"
# A proxy that takes the path off, and one that hands it on.
PROXIES = ["", "/office/taskbell"]


@pytest.fixture
async def below(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    url = "https://tools.example.com/office/taskbell/"
    async with site(tmp_path, pool, clock, valkey.url, token=TOKEN, TASKBELL_URL=url) as running:
        yield running


@pytest.mark.parametrize("passed_on", PROXIES)
async def test_a_person_signs_in_and_out_below_it(below: Site, passed_on: str) -> None:
    """Every address of a page and every redirect leads below it, and each of them is there."""
    client = below.client
    asked = await client.get(f"{passed_on}/")
    assert asked.headers["location"] == "/office/taskbell/login"
    form = (await client.get(f"{passed_on}/login")).text
    assert 'action="/office/taskbell/login"' in form
    welcome = await client.post(
        f"{passed_on}/login",
        data={"token": TOKEN},
        headers={"origin": "https://tools.example.com", "host": "127.0.0.1:8080"},
    )
    assert welcome.headers["location"] == "/office/taskbell/"
    page = (await client.get(f"{passed_on}/")).text
    links = set(re.findall(r'(?:href|src|action)="([^"]*)"', page))
    assert {link[:17] for link in links} == {"/office/taskbell/"}
    for link in links - {"/office/taskbell/logout", "/office/taskbell/holds"}:
        assert (await client.get(unescape(link))).status_code == 200
    goodbye = await client.post(f"{passed_on}/logout")
    assert goodbye.headers["location"] == "/office/taskbell/login"


@pytest.mark.parametrize("passed_on", PROXIES)
async def test_everything_else_is_there_too(below: Site, passed_on: str) -> None:
    """Webhooks, probes, numbers and the API, which says where it is."""
    client, right = below.client, {"authorization": f"Bearer {TOKEN}"}
    client.headers["content-type"] = "application/json"
    assert (await client.post(f"{passed_on}/hooks/london", content=b"{}")).status_code == 401
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/tasks", "/api/v1/openapi.json"):
        assert (await client.get(passed_on + path, headers=right)).status_code == 200
    document = (await client.get(f"{passed_on}/api/v1/openapi.json", headers=right)).json()
    assert document["servers"] == [{"url": "/office/taskbell"}]


async def test_the_path_itself_is_the_page_and_another_is_none(below: Site) -> None:
    """With or without a slash behind it."""
    for path in ("/office/taskbell", "/office/taskbell/"):
        assert (await below.client.get(path)).status_code == 303
    for path in ("/office", "/office/taskbells", "/taskbell/", "/office/taskbell/office/taskbell"):
        assert (await below.client.get(path)).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/api",
        "https://a.example/hooks/x",
        "https://a.example/x?y=1",
        "https://a.example/x#y",
        "https://a.example/x//y",
        "https://a.example/../x",
        "https://a.example/x y",
    ],
)
def test_a_path_that_cannot_be_in_front_is_refused_in_words(url: str) -> None:
    """One that could be meant for Taskbell's own, or that is none."""
    with pytest.raises(SettingsError, match="TASKBELL_URL: may have a path in front"):
        read_settings({"TASKBELL_URL": url})


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.example", ""),
        ("https://a.example/", ""),
        ("https://a.example:8443/taskbell/", "/taskbell"),
        ("http://a.example/apis/hooks", "/apis/hooks"),
    ],
)
def test_a_path_in_front_is_read_from_the_address(url: str, path: str) -> None:
    """Without the slash at its end."""
    assert read_settings({"TASKBELL_URL": url}).root_path == path
