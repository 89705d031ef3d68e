"""Who may look and decide: guesses are throttled, sessions end, other sites are refused."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from service.clock import VirtualClock
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from service.web.limits import login_throttle
from service.web.limits.login_throttle import LoginThrottle
from service.web.problems import Problem
from tests.harness.site import Site, site

TOKEN = "s3cret-of-the-page"
RIGHT = {"authorization": f"Bearer {TOKEN}"}
WRONG = {"authorization": "Bearer a-wrong-token-of-some-length"}


@pytest.fixture
async def guarded(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with site(tmp_path, pool, clock, valkey.url, token=TOKEN) as running:
        yield running


def at(address: str) -> dict[str, str]:
    """What the proxy on this machine says of who asks it."""
    return {"x-forwarded-for": address}


async def status(web: Site, headers: dict[str, str], path: str = "/api/v1/events") -> int:
    return (await web.client.get(path, headers=headers)).status_code


async def sign_in(web: Site, token: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return await web.client.post("/login", data={"token": token}, headers=headers)


async def test_wrong_tokens_are_throttled_where_they_come_from(
    guarded: Site, clock: VirtualClock
) -> None:
    """Ten, then none for some seconds, not the right one either; elsewhere it is taken."""
    guesses = [await status(guarded, WRONG | at("192.0.2.1")) for _ in range(12)]
    assert guesses == [401] * 10 + [429] * 2
    refused = await guarded.client.get("/api/v1/events", headers=RIGHT | at("192.0.2.1"))
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert await status(guarded, RIGHT | at("192.0.2.2")) == 200
    clock.advance(timedelta(seconds=int(refused.headers["retry-after"])))
    assert await status(guarded, RIGHT | at("192.0.2.1")) == 200


async def test_wrong_sign_ins_count_as_well(guarded: Site) -> None:
    """With the tokens of the API; the form says how long to wait, and sessions go on."""
    here = at("192.0.2.1")
    assert (await sign_in(guarded, TOKEN, here)).status_code == 303
    guesses = [(await sign_in(guarded, "guess", here)).status_code for _ in range(10)]
    assert guesses == [401] * 10
    refused = await sign_in(guarded, TOKEN, here)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert "try again in" in refused.text
    assert await status(guarded, here, "/") == 200
    guarded.client.cookies.clear()
    assert await status(guarded, RIGHT | here) == 429
    assert (await sign_in(guarded, TOKEN, at("192.0.2.2"))).status_code == 303


async def test_who_says_nothing_has_guessed_nothing(guarded: Site) -> None:
    """A browser that has not signed in, an old cookie, a monitor without a token."""
    for _ in range(15):
        assert await status(guarded, {}) == 401
        assert await status(guarded, {"cookie": "taskbell_session=old"}) == 401
    assert await status(guarded, RIGHT) == 200


def guess(tried: LoginThrottle, address: str) -> bool:
    """Whether a wrong token from there was looked at."""
    try:
        tried.demand_room(address)
    except Problem:
        return False
    tried.wrong(address)
    return True


def test_guesses_from_everywhere_are_throttled_together(clock: VirtualClock) -> None:
    """Who has been here before is still listened to, and everybody is a second later."""
    tried = LoginThrottle(clock)
    tried.right("192.0.2.1")
    with capture_logs() as logs:
        looked_at = [guess(tried, f"10.0.{n // 250}.{n % 250}") for n in range(1000)]
    assert sum(looked_at) == login_throttle.OF_ALL
    assert [one["event"] for one in logs] == ["auth.throttled"]
    tried.demand_room("192.0.2.1")
    with pytest.raises(Problem, match="1 seconds"):
        tried.demand_room("192.0.2.2")
    clock.advance(timedelta(seconds=1))
    tried.demand_room("192.0.2.2")


@pytest.mark.parametrize(
    "addresses",
    [
        [f"2001:db8:1:2::{n:x}" for n in range(20)],
        ["::ffff:192.0.2.1", "192.0.2.1"] * 10,
        [f"no address {n}" * 100 for n in range(20)],
    ],
)
def test_one_customer_is_one_address(clock: VirtualClock, addresses: list[str]) -> None:
    """Whoever has a network of version 6 has them all; what is no address is the same for all."""
    tried = LoginThrottle(clock)
    assert sum(guess(tried, address) for address in addresses) == login_throttle.OF_ONE
    tried.demand_room("2001:db8:1:3::1")


def test_what_is_remembered_is_bounded(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many addresses there are, of both kinds."""
    monkeypatch.setattr(login_throttle, "REMEMBERED", 100)
    monkeypatch.setattr(login_throttle, "KNOWN", 100)
    tried = LoginThrottle(clock)
    for n in range(300):
        tried.wrong(f"10.0.{n // 250}.{n % 250}")
        tried.right(f"10.1.{n // 250}.{n % 250}")
    assert (len(tried._of_one), len(tried._known)) == (100, 100)


def test_a_clock_that_is_set_back_locks_nobody_out_for_long(clock: VirtualClock) -> None:
    """What was counted in the future falls from now on."""
    tried = LoginThrottle(clock)
    assert sum(guess(tried, "192.0.2.1") for _ in range(12)) == 10
    clock.set(clock.now() - timedelta(days=1))
    assert not guess(tried, "192.0.2.1")
    clock.advance(timedelta(minutes=1))
    assert guess(tried, "192.0.2.1")


def test_what_was_right_counts_for_nothing(clock: VirtualClock) -> None:
    """Who signs in often is never throttled for it, and the names that are kept are bounded."""
    tried = LoginThrottle(clock)
    for _ in range(100):
        tried.demand_room("192.0.2.1", "anna")
        tried.wrong("192.0.2.1", "anna")
        tried.take_back("192.0.2.1", "anna")
    for n in range(login_throttle.OF_NAME):
        tried.wrong(f"10.0.0.{n}", "anna")
    with pytest.raises(Problem):
        tried.demand_room("10.0.1.1", "anna")
    tried.demand_room("10.0.1.1", "bo")


async def test_a_session_that_was_ended_is_over_for_whoever_kept_the_cookie(guarded: Site) -> None:
    """Signing out is not only to forget it in one browser."""
    await sign_in(guarded, TOKEN)
    [(name, value)] = guarded.client.cookies.items()
    kept = {"cookie": f"{name}={value}"}
    await guarded.client.post("/logout")
    guarded.client.cookies.clear()
    assert await status(guarded, kept) == 401
    assert await status(guarded, kept, "/") == 303


async def test_a_session_outlives_the_process_but_not_the_token(
    guarded: Site, tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Another web process knows it as well; the database holds nothing to sign in with."""
    await sign_in(guarded, TOKEN)
    [(name, value)] = guarded.client.cookies.items()
    kept = {"cookie": f"{name}={value}"}
    async with site(tmp_path, pool, clock, valkey.url, token=TOKEN) as other:
        assert await status(other, kept) == 200
    async with site(tmp_path, pool, clock, valkey.url, token="another-of-the-page") as other:
        assert await status(other, kept) == 401
    assert value.encode() not in await pool.fetchval("SELECT key FROM sessions")


async def test_sessions_that_are_over_are_forgotten(
    guarded: Site, pool: Pool, clock: VirtualClock
) -> None:
    """When somebody signs in."""
    await sign_in(guarded, TOKEN)
    clock.advance(timedelta(days=8))
    await sign_in(guarded, TOKEN)
    assert await pool.fetchval("SELECT count(*) FROM sessions") == 1


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "{own}"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    "path", ["/logout", "/login", "/deliveries/1/retry", "/api/v1/deliveries/1/retry"]
)
async def test_other_sites_decide_nothing(
    guarded: Site, path: str, headers: dict[str, str]
) -> None:
    """Not with the session of whoever looks at them, nor by signing them in."""
    own = str(guarded.client.base_url)
    said = {name: value.format(own=own) for name, value in headers.items()}
    await sign_in(guarded, TOKEN)
    assert (await guarded.client.post(path, headers=said)).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {}]
)
async def test_our_own_page_decides(guarded: Site, headers: dict[str, str]) -> None:
    """And whoever is no browser."""
    await sign_in(guarded, TOKEN)
    own = {"origin": str(guarded.client.base_url)} if headers else {}
    assert (await guarded.client.post("/logout", headers=headers | own)).status_code == 303


@pytest.mark.parametrize("headers", FOREIGN[:4])
async def test_other_sites_post_no_webhooks_that_nobody_verifies(
    web: Site, headers: dict[str, str]
) -> None:
    """Whoever sits at this machine may be looking at one."""
    assert (await web.post("open", b"{}", headers)).status_code == 403
    assert (await web.post("open", b"{}")).status_code == 202


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/metrics", "/api/v1/events", "/api/v1/nothing", "/api/v1/events?limit=x"],
)
async def test_no_answer_is_kept_or_guessed_at(web: Site, path: str) -> None:
    """Not by a browser, nor by a proxy on the way."""
    answer = await web.client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
