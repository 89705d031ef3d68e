"""Users and their roles: who signs in, for how long, and what a role may do."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from service.clock import VirtualClock
from service.domain.actors import Role
from service.domain.model import Kind, State
from service.processes.embedded import EmbeddedValkey
from service.settings import passwords
from service.store import Pool
from tests.harness.history import plan, record
from tests.harness.people import PASSWORDS, ROLES, sign_in, users
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import task

TOKEN = "s3cret-of-the-page"
BEARER = {"authorization": f"Bearer {TOKEN}"}

# Each has its own check, or nothing to hide.
PUBLIC = {
    ("POST", "/hooks/{account}"),  # a webhook's signature
    ("POST", "/hooks/{account}/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/approvals/{id:number}"),  # the link's own token
    ("POST", "/approvals/{id:number}"),
    ("GET", "/answers/{id:number}"),
    ("POST", "/answers/{id:number}"),
    ("POST", "/slack/actions"),  # Slack's signature
    ("GET", "/unsubscribe/{link}"),  # the link's signature
    ("POST", "/unsubscribe/{link}"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/coming.ics"),  # the key in its address
    ("GET", "/static"),
}
OF_EVERYBODY = {("POST", "/logout")}
# The files of the configuration may hold secrets, and say where they are sent.
OF_ADMINS = {
    ("GET", "/rules/edit"),
    ("POST", "/rules/edit"),
    ("POST", "/rules/edit/check"),
    ("POST", "/rules/edit/suggestions"),
    ("POST", "/rules/edit/download"),
}


@pytest.fixture
def firm(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> partial[AbstractAsyncContextManager[Site]]:
    """A site with these lines more in its configuration, and the admin token."""

    def opened(more: str, token: str | None = TOKEN) -> AbstractAsyncContextManager[Site]:
        return serving(configured(tmp_path, more), pool, clock, valkey.url, token)

    return partial(opened)


@pytest.fixture
async def web(firm: partial[AbstractAsyncContextManager[Site]]) -> AsyncIterator[Site]:
    """The site of anna (operator), Bo (viewer) and cy (admin)."""
    async with firm(users()) as running:
        yield running


def doors(web: Site) -> Iterator[tuple[str, str]]:
    """Method and path of all routes; signing out comes last."""
    for one in sorted(web.routes, key=lambda one: getattr(one, "path", "") == "/logout"):
        if isinstance(one, Route):
            yield from ((method, one.path) for method in (one.methods or set()) - {"HEAD"})
        else:
            yield "GET", str(getattr(one, "path", one))


def filled(path: str) -> str:
    return re.sub(r"{[^}]*}", "1", path)


async def answers(web: Site, **headers: str) -> dict[tuple[str, str], Any]:
    """What every route answers to this."""
    asked = {"accept": "application/json", **headers}
    return {
        (method, path): await answer_of(web, method, filled(path), asked)
        for method, path in doors(web)
    }


async def answer_of(web: Site, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """What is answered; of a stream that does not end, only how it begins."""
    async with web.client.stream(method, path, headers=headers) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            await answer.aread()
    return answer


def is_refused(answer: Any) -> bool:
    place = answer.headers.get("location", "")
    return answer.status_code in {401, 403} or place.startswith("/login")


async def test_no_route_answers_a_stranger(web: Site) -> None:
    """A route that is new has to be protected, or be put among the public ones with a reason."""
    found = await answers(web)
    open_ = {door for door, answer in found.items() if not is_refused(answer)}
    assert open_ <= PUBLIC
    assert {("GET", "/audit"), ("GET", "/metrics")} <= found.keys() - open_


async def test_no_route_that_acts_answers_a_viewer(web: Site) -> None:
    """Whatever is not reading needs an operator, on the page and in the API."""
    await sign_in(web, "Bo")
    found = await answers(web)
    acting = {door for door in found if door[0] != "GET"} - PUBLIC - OF_EVERYBODY
    assert len(acting) > 20
    for door in acting:
        assert found[door].status_code == 403, door
        assert "your role is viewer" in found[door].json()["detail"], door


async def test_a_viewer_reads_everything(web: Site) -> None:
    """Page, API and metrics: of the routes that only read, those of admins alone are closed."""
    await sign_in(web, "Bo")
    found = await answers(web)
    reading = {door for door in found if door[0] == "GET"} - PUBLIC - OF_ADMINS
    assert len(reading) > 25
    assert [door for door in reading if found[door].status_code not in {200, 400, 404}] == []


@pytest.mark.parametrize("name", ["anna", "cy"])
async def test_an_operator_and_an_admin_may_act(web: Site, name: str) -> None:
    """No route refuses an admin, and an operator only those of admins; nothing of it is there."""
    await sign_in(web, name)
    found = await answers(web)
    refused = {door for door in found.keys() - PUBLIC if is_refused(found[door])}
    only_admins = OF_ADMINS if ROLES[name] is Role.OPERATOR else set()
    assert refused == OF_EVERYBODY | only_admins  # signing out leads to the login


async def test_the_admin_token_acts_for_scripts(web: Site) -> None:
    """Beside the users, without a session."""
    found = await answers(web, **BEARER)
    assert {door for door in found.keys() - PUBLIC if is_refused(found[door])} <= OF_EVERYBODY


FOREIGN = ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"})


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("name", [*ROLES, "token"])
async def test_another_site_acts_for_nobody(
    web: Site, pool: Pool, name: str, headers: dict[str, str]
) -> None:
    """Whoever is signed in, a page of another origin decides nothing, and is not let in either."""
    if name == "token":
        await web.client.post("/login", data={"token": TOKEN})
    else:
        await sign_in(web, name)
    found = await answers(web, **headers)
    signed = ("/hooks/", "/slack/")
    acting = [door for door in found if door[0] != "GET" and not door[1].startswith(signed)]
    assert {found[door].status_code for door in acting} == {403}
    assert await pool.fetchval("SELECT count(*) FROM changes") == 1  # the sign-in itself


async def test_a_viewer_is_told_in_words_and_sees_no_buttons(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The screens are the same without what they could not use; a pressed one gives the reason."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event, State.FAILED)
    await web.post("open", b"{}")
    await pool.execute("UPDATE receipts SET state = 'poison', reason = 'x'")
    paths = (
        "/",
        "/coming",
        "/connections",
        "/webhooks",
        f"/messages/{number}",
        "/webhooks/1",
        "/silences",
    )
    for name, sees in (("anna", True), ("Bo", False)):
        await sign_in(web, name)
        for path in paths:
            page = (await web.client.get(path)).text
            forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', page)
            assert (set(forms) > {"/logout"}) == (sees and path != "/coming"), path
            assert f"<bdi>{name}</bdi>" in page
            assert ("view only" in page) != sees
    pressed = await web.client.post(f"/deliveries/{number}/retry", headers={"accept": "text/html"})
    assert pressed.status_code == 403
    assert "You may look at everything, but not decide" in pressed.text
    assert await pool.fetchval("SELECT state FROM deliveries") == "failed"


async def test_who_decides_is_stored_with_what_they_decide(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """By the name that they signed in with, on the page and over the API."""
    numbers = [
        await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()), state)
        for state in (State.FAILED, State.UNKNOWN, State.PLANNED, State.FAILED)
    ]
    await sign_in(web, "Anna ", PASSWORDS["anna"])
    await web.client.post(f"/deliveries/{numbers[0]}/cancel")
    await web.client.post(f"/api/v1/deliveries/{numbers[1]}/resolve", json={"arrived": True})
    web.client.cookies.clear()
    await web.client.post(f"/api/v1/deliveries/{numbers[2]}/cancel", headers=BEARER)
    await web.client.post(f"/api/v1/deliveries/{numbers[3]}/retry", headers=BEARER)
    rows = await pool.fetch("SELECT reason FROM deliveries ORDER BY id")
    assert [row["reason"] for row in rows] == [
        "dismissed by anna",
        "anna found that it arrived",
        "cancelled by the admin token",
        "the admin token asked for another attempt",
    ]


async def test_the_form_takes_names_and_the_token(web: Site) -> None:
    """Capital letters and spaces around a name make no difference; what is wrong is not told."""
    assert "Use the admin token" in (await web.client.get("/login")).text
    assert (await sign_in(web, " ANNA ", PASSWORDS["anna"])).status_code == 303
    wrong = [await sign_in(web, *given) for given in (("anna", "x"), ("dora", "x"), ("", ""))]
    assert {one.status_code for one in wrong} == {401}
    texts = {re.findall(r'role="alert">([^<]*)<', one.text)[0] for one in wrong}
    assert len(texts) == 1
    assert "Wrong name or password" in texts.pop()
    assert (await web.client.post("/login", data={"token": TOKEN})).status_code == 303
    mistaken = await web.client.post("/login", data={"token": PASSWORDS["anna"]})
    assert "Wrong admin token" in mistaken.text


async def test_with_users_and_no_token_this_machine_signs_in_too(
    firm: partial[AbstractAsyncContextManager[Site]],
) -> None:
    """There is nothing then that answers whoever sits at this machine, or comes from elsewhere."""
    async with firm(users(), token=None) as web:
        assert (await web.client.get("/")).headers["location"] == "/login"
        assert (await web.client.get("/api/v1/tasks")).status_code == 401
        assert (await web.client.get("/coming.ics")).status_code == 403
        assert "admin token" not in (await web.client.get("/login")).text.lower()
        signed = await web.client.post("/login", data={"name": "Bo", "password": PASSWORDS["Bo"]})
        assert signed.status_code == 303
        assert (await web.client.get("/")).status_code == 200
        assert (await sign_in(web, "Bo")).status_code == 403  # through a proxy
        assert (await web.client.post("/login", data={"token": ""})).status_code == 401


CHANGED = {
    "the role": ("role: operator", "role: viewer"),
    "removed": ("  anna:", "  dora:"),
    "the name": ("  anna:", "  Anna:"),
}


@pytest.mark.parametrize("what", ["the password", *CHANGED])
async def test_a_session_ends_with_what_it_was_begun_by(
    firm: partial[AbstractAsyncContextManager[Site]], what: str
) -> None:
    """Another password, another role or no such user any more: only the others stay signed in."""
    before = users()
    if what == "the password":
        [old] = re.findall(r"  anna: .*\n", before)
        [new] = re.findall(r"  anna: .*\n", users(anna="another password"))
    else:
        old, new = CHANGED[what]
    kept = {}
    async with firm(before) as web:
        for name in ("anna", "Bo"):
            await sign_in(web, name)
            kept[name] = {"cookie": "; ".join("=".join(one) for one in web.client.cookies.items())}
            web.client.cookies.clear()
    async with firm(before) as web:
        assert (await web.client.get("/api/v1/tasks", headers=kept["anna"])).status_code == 200
    assert old in before
    async with firm(before.replace(old, new, 1)) as web:
        assert (await web.client.get("/api/v1/tasks", headers=kept["Bo"])).status_code == 200
        assert (await web.client.get("/api/v1/tasks", headers=kept["anna"])).status_code == 401


async def test_a_calendar_ends_with_its_user(
    firm: partial[AbstractAsyncContextManager[Site]],
) -> None:
    """Everybody has an address of their own, which is valid as long as they are."""
    addresses = {}
    before = users()
    async with firm(before) as web:
        for name in ("anna", "Bo"):
            await sign_in(web, name)
            page = (await web.client.get("/coming")).text
            addresses[name] = re.findall(r"coming\.ics\?key=\w+", page)[0]
            web.client.cookies.clear()
        assert addresses["anna"] != addresses["Bo"]
        assert (await web.client.get(f"/{addresses['anna']}")).status_code == 200
        assert (await web.client.get("/coming.ics?key=")).status_code == 403
    after = "".join(line for line in before.splitlines(keepends=True) if "anna" not in line)
    async with firm(after) as web:
        assert (await web.client.get(f"/{addresses['Bo']}")).status_code == 200
        assert (await web.client.get(f"/{addresses['anna']}")).status_code == 403


async def test_the_database_has_names_and_nothing_to_sign_in_with(web: Site, pool: Pool) -> None:
    """A session's row has whose it is, and a digest."""
    await sign_in(web, "Bo")
    [value] = web.client.cookies.values()
    [row] = await pool.fetch("SELECT * FROM sessions")
    assert row["name"] == "Bo"
    assert value.encode() not in row["key"]
    cookie = (await sign_in(web, "Bo")).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    behind_tls = await web.client.post(
        "/login",
        data={"name": "Bo", "password": PASSWORDS["Bo"]},
        headers={"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"},
    )
    assert "Secure" in behind_tls.headers["set-cookie"]


async def test_guesses_are_throttled_by_address_and_by_name(web: Site, clock: VirtualClock) -> None:
    """From one address ten, for one name twenty, also from many addresses; then one waits."""

    async def guess(name: str, address: str) -> int:
        return (await sign_in(web, name, "a guess", address)).status_code

    assert [await guess("anna", "192.0.2.7") for _ in range(12)] == [401] * 10 + [429] * 2
    assert (await sign_in(web, "Bo", address="192.0.2.8")).status_code == 303
    others = [await guess("Anna", f"198.51.100.{n}") for n in range(12)]
    assert others == [401] * 10 + [429] * 2
    refused = await sign_in(web, "anna", address="198.51.100.99")
    assert refused.status_code == 429
    assert "try again in" in refused.text
    # Somebody has signed in at this address before, so that no stranger locks anna out of it.
    assert (await sign_in(web, "anna", address="192.0.2.8")).status_code == 303
    clock.advance(timedelta(seconds=int(refused.headers["retry-after"])))
    assert (await sign_in(web, "anna", address="198.51.100.99")).status_code == 303


async def test_many_guesses_at_once_find_no_more_room(web: Site) -> None:
    """They count before they are checked."""
    found = await asyncio.gather(*(sign_in(web, "anna", "a guess") for _ in range(30)))
    assert sorted(one.status_code for one in found) == [401] * 10 + [429] * 20


async def test_a_password_is_checked_beside_other_work(
    firm: partial[AbstractAsyncContextManager[Site]],
) -> None:
    """The process answers others meanwhile; an unknown name takes as long as a known one."""
    costly = passwords.hashed("correct horse cy")
    async with firm(f'users:\n  cy: {{ role: admin, password: "{costly}" }}\n') as web:
        checks = [asyncio.create_task(sign_in(web, "cy", "a guess")) for _ in range(8)]
        await asyncio.sleep(0.02)
        started = time.perf_counter()
        assert (await web.client.get("/healthz")).status_code == 200
        assert not all(one.done() for one in checks)
        assert time.perf_counter() - started < 0.5
        await asyncio.gather(*checks)
        took = {}
        for name in ("cy", "nobody"):
            started = time.perf_counter()
            await sign_in(web, name, "a guess", f"192.0.2.{len(name)}")
            took[name] = time.perf_counter() - started
        assert took["nobody"] > took["cy"] / 3
