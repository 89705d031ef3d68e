"""The operator page: what it shows to whom, and its buttons."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from itertools import cycle
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from arq.constants import health_check_key_suffix
from redis.asyncio import Redis

from service.clock import VirtualClock
from service.diagnostics import Diagnostic
from service.domain.actors import Actor
from service.domain.model import Cause, Customer, Event, Kind, State
from service.domain.operators.silences import Silence
from service.doorbell import QUEUE
from service.outbox import silences
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from service.store import Pool
from service.store.events import PostgresEvents
from service.web import labels, office
from service.web.auth import SESSION
from tests.conftest import closed_to_all
from tests.harness.history import plan, record
from tests.harness.site import Site, configured, serving, site
from tests.harness.tasks import task


def without_links(page: str) -> str:
    """The page as it reads."""
    return re.sub(r"</?a\b[^>]*>", "", page)


@pytest.fixture
async def guarded(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """A site with the admin token `s3cret-of-the-page`."""
    async with site(tmp_path, pool, clock, valkey.url, token="s3cret-of-the-page") as running:
        yield running


async def test_without_a_worker_the_page_does_not_say_that_all_is_well(
    web: Site, valkey: EmbeddedValkey
) -> None:
    """Nobody is at work: the page says so first."""
    async with Redis.from_url(valkey.url) as redis:
        await redis.delete(QUEUE + health_check_key_suffix)
    page = (await web.client.get("/")).text
    assert "The part of Taskbell that sends messages does not answer" in page
    assert "All is well" not in page


async def test_an_empty_page_says_what_will_be_there(web: Site, valkey: EmbeddedValkey) -> None:
    """Before anything has happened the page explains itself and names the accounts."""
    async with Redis.from_url(valkey.url) as redis:
        await redis.set(QUEUE + health_check_key_suffix, "at work")
        page = (await web.client.get("/")).text
        await redis.delete(QUEUE + health_check_key_suffix)
    assert "All is well" in page
    assert "Nothing has been sent yet" in page
    assert "london" in page
    for part in ("taskbell.css", "refresh.js", "bell.svg"):
        assert (await web.client.get(f"/static/{part}")).is_success


async def test_a_faulty_configuration_is_not_well(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """The page has one verdict: with a configuration that is not used, all is not well."""
    fault = Diagnostic("taskbell.yaml", 3, 1, "there is no event task.creatd")
    async with Redis.from_url(valkey.url) as redis:
        await redis.set(QUEUE + health_check_key_suffix, "at work")
        async with serving(
            configured(tmp_path), pool, clock, valkey.url, faults=[fault]
        ) as running:
            page = (await running.client.get("/")).text
        await redis.delete(QUEUE + health_check_key_suffix)
    assert "there is no event task.creatd" in page
    assert "All is well" not in page


async def test_it_says_what_was_sent_and_why(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Each message names the task and the road by which its change was learnt."""
    for cause, kind in (
        (Cause.WEBHOOK, Kind.COMPLETED),
        (Cause.POLL, Kind.RESCHEDULED),
        (Cause.CLOCK, Kind.OVERDUE),
    ):
        event = await record(pool, task(), kind, at=clock.now(), cause=cause)
        await plan(pool, event, State.SENT)
    clock.advance(timedelta(minutes=5))
    page = " ".join(without_links((await web.client.get("/")).text).split())
    assert "Because <b>Smith gutters</b> is done (reported at once, by webhook)" in page
    assert "<b>Smith gutters</b> was rescheduled, found when Taskbell read the system" in page
    assert "<b>Smith gutters</b> is overdue, at the planned time" in page
    assert page.count("5 minutes ago") >= 3
    assert "#office" in page


async def test_the_times_of_a_card_are_those_of_its_account(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """As its own text has them: what is not in the firm's zone says in which it is."""
    later = clock.now() + timedelta(hours=2)
    for account, zone, place in (
        ("field", ZoneInfo("America/New_York"), " (New York)"),
        ("london", ZoneInfo("Europe/London"), ""),
    ):
        event = await record(pool, task(account=account), Kind.COMPLETED, at=clock.now())
        await plan(pool, event, State.PLANNED, send_at=later)
        page = " ".join((await web.client.get("/")).text.split())
        assert f"{labels.local(later, zone)}{place}, in 2 hours" in page
    assert "Europe/London. This page" in page


async def test_what_needs_a_person_comes_first(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Failed and unknown deliveries and unreadable webhooks are counted and above the rest."""
    for state in (State.SENT, State.UNKNOWN, State.FAILED, State.PLANNED):
        await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()), state)
    await web.post("open", b"{}")
    await pool.execute("UPDATE receipts SET state = 'poison', reason = 'there is no id in it'")
    page = (await web.client.get("/")).text
    assert "3 items need attention" in page
    headings = ("Needs your attention", "there is no id in it", "<h2>Waiting", "<h2>Recent")
    assert sorted(headings, key=page.index) == list(headings)


async def test_a_failing_account_is_among_what_needs_a_person(web: Site, pool: Pool) -> None:
    """It stands above the rest with its error, and not once more below."""
    await pool.execute(
        "UPDATE accounts SET failing_since = now(), error = 'field: refused' WHERE name = 'field'"
    )
    page = (await web.client.get("/")).text
    assert "1 item needs attention" in page
    parts = ("Needs your attention", ">refused<", "<h2>Recent", "<h2>Accounts", ">london</a></b>")
    assert sorted(parts, key=page.index) == list(parts)
    assert page.count(">field</a></b>") == 1


async def test_tasks_that_are_gone_at_once_need_a_person(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Somebody has to say whether the token has lost rights or they are deleted; above the rest."""
    await pool.execute(
        """
        INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at, absent_at)
        SELECT 'field', task, 'fetch', $1, $1, $1 FROM unnest('{7,8,9}'::text[]) AS task
        """,
        clock.now(),
    )
    await pool.execute("UPDATE accounts SET baseline_at = $1", clock.now())
    page = (await web.client.get("/")).text
    assert "1 item needs attention" in page
    parts = (
        "Needs your attention",
        "many tasks missing</span>",
        "3 tasks disappeared from kickserv at once",
        "<h2>Recent",
    )
    assert sorted(parts, key=page.index) == list(parts)
    assert page.count(">field</a></b>") == 1


async def test_foreign_text_stays_text(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """A title with markup in it shows as it is, and no foreign script could run."""
    event = await record(pool, task(title="<script>x</script>"), Kind.CREATED, at=clock.now())
    await plan(pool, event, State.FAILED, text="<img src=x onerror=y>", target='"><b>')
    answer = await web.client.get("/")
    assert "<script>x" not in answer.text
    assert "<img src=x" not in answer.text
    assert "&lt;script&gt;x&lt;/script&gt;" in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_every_kind_state_and_cause_has_its_words(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The page has words for every kind of event, every state and every cause."""
    for kind, cause in zip(Kind, cycle(Cause), strict=False):
        await record(pool, task(), kind, at=clock.now(), cause=cause)
    for state in State:
        event = await record(pool, task(), Kind.CHANGED, at=clock.now())
        await plan(pool, event, state)
    assert (await web.client.get("/")).status_code == 200


async def test_the_buttons_decide(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """A person settles what is unknown and stops what waits, and sees the page again."""
    numbers = [
        await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()), state)
        for state in (State.UNKNOWN, State.UNKNOWN, State.FAILED, State.PLANNED)
    ]
    buttons = (("resolve", {"arrived": "yes"}), ("resolve", {"arrived": "no"}))
    for number, (action, form) in zip(
        numbers, (*buttons, ("retry", {}), ("cancel", {})), strict=True
    ):
        answer = await web.client.post(f"/deliveries/{number}/{action}", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    states = [row["state"] for row in await pool.fetch("SELECT state FROM deliveries ORDER BY id")]
    assert states == ["sent", "failed", "planned", "cancelled"]
    late = await web.client.post(f"/deliveries/{numbers[0]}/resolve", data={"arrived": "no"})
    assert "already handled this" in (await web.client.get(late.headers["location"])).text
    forged = await web.client.post(
        f"/deliveries/{numbers[2]}/cancel", headers={"origin": "http://evil.example"}
    )
    assert forged.status_code == 403


async def test_what_failed_can_be_left(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """It asks nobody any more, is still a failure, and says who left it and when."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event, State.UNKNOWN)
    await web.client.post(f"/deliveries/{number}/resolve", data={"arrived": "no"})
    assert "1 item needs attention" in (await web.client.get("/")).text
    clock.advance(timedelta(hours=2))
    await web.client.post(f"/deliveries/{number}/cancel")
    page = (await web.client.get("/")).text
    assert "needs attention" not in page
    assert page.index("<h2>Recent") < page.index(
        "did not arrive; dismissed by someone on this machine"
    )
    one = (await web.client.get(f"/api/v1/deliveries/{number}")).json()
    assert one["state"] == "failed"
    assert one["reason"].endswith("; dismissed by someone on this machine")
    assert await pool.fetchval("SELECT acknowledged_at FROM deliveries") == clock.now()
    await web.client.post(f"/deliveries/{number}/retry")
    one = (await web.client.get(f"/api/v1/deliveries/{number}")).json()
    assert one["state"] == "planned"
    assert await pool.fetchval("SELECT acknowledged_at FROM deliveries") is None


async def test_an_unreadable_webhook_can_be_tried_again_or_left(web: Site, pool: Pool) -> None:
    """It is read once more by the worker, or stays set aside and asks nobody any more."""
    again = (await web.post("open", b'{"n": 1}')).json()["receipt"]
    left = (await web.post("open", b'{"n": 2}')).json()["receipt"]
    assert (await web.client.post(f"/webhooks/{left}/cancel")).headers["location"] == "/?too_late"
    await pool.execute("UPDATE receipts SET state = 'poison', reason = 'there is no id in it'")
    await web.client.post(f"/webhooks/{again}/retry")
    await web.client.post(f"/webhooks/{left}/cancel")
    assert "there is no id in it" not in (await web.client.get("/")).text
    rows = await pool.fetch("SELECT state, reason FROM receipts ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("pending", None),
        ("poison", "there is no id in it; ignored by someone on this machine"),
    ]


async def test_what_happened_is_in_the_order_of_its_times(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """A time that became known late stands where it belongs."""
    late = clock.now() - timedelta(hours=3)
    await record(pool, task(title="Newer"), Kind.CREATED, at=clock.now())
    await record(pool, task(title="Older"), Kind.OVERDUE, at=late, cause=Cause.CLOCK)
    page = (await web.client.get("/")).text
    assert page.index("Newer") < page.index("Older")
    assert page.index("just now") < page.index("3 hours ago")


async def test_a_press_that_is_out_of_date_sends_nothing(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Two people press "Send again": once the first attempt has ended, the second press is none."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event, State.FAILED)
    await pool.execute("UPDATE deliveries SET attempts = 1")
    shown = (await web.client.get("/")).text
    assert '<input type="hidden" name="attempts" value="1">' in shown
    await web.client.post(f"/deliveries/{number}/retry", data={"attempts": "1"})
    await pool.execute("UPDATE deliveries SET state = 'unknown', attempts = 2")
    pressed = await web.client.post(f"/deliveries/{number}/retry", data={"attempts": "1"})
    assert pressed.headers["location"] == "/?too_late"
    told = await web.client.post(f"/api/v1/deliveries/{number}/retry", json={"attempts": 1})
    assert told.status_code == 409
    wrong = await web.client.post(f"/api/v1/deliveries/{number}/retry", json={"attempts": "1"})
    assert wrong.status_code == 400
    assert await pool.fetchval("SELECT state FROM deliveries") == "unknown"


async def test_a_database_that_is_away_is_said_in_words(
    web: Site, pool: Pool, postgres: EmbeddedPostgres
) -> None:
    """A page, not a document for programs, which looks again by itself; then all is as before."""
    name = await pool.fetchval("SELECT current_database()")
    async with closed_to_all(postgres, name):
        answer = await web.client.get("/")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "Taskbell cannot reach its database" in answer.text
        assert 'http-equiv="refresh"' in answer.text
        pressed = await web.client.post("/deliveries/1/retry")
        assert "Taskbell cannot reach its database" in pressed.text
    assert (await web.client.get("/")).status_code == 200


async def test_a_database_that_hangs_does_not_hang_the_page(
    web: Site, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person is told within a moment, and the page is back as soon as the database is."""
    monkeypatch.setattr(office, "_PATIENCE", 0.2)
    async with pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE deliveries")
        answer = await web.client.get("/")
        assert answer.status_code == 503
        assert "Taskbell cannot reach its database" in answer.text
    assert (await web.client.get("/")).status_code == 200


async def test_it_says_for_whom_and_under_which_subject(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """An office manager thinks of customers; a mail is known by its subject."""
    about = task(customer=Customer(name="Ida Smith"))
    event = await record(pool, about, Kind.OVERDUE, at=clock.now())
    await plan(pool, event, State.UNKNOWN, channel="email", subject="Overdue: gutters")
    page = without_links((await web.client.get("/")).text)
    assert page.count("<b>Smith gutters</b> for Ida Smith is overdue") == 2
    assert "<p>Overdue: gutters</p>" in page
    assert "Neither button sends anything" in page


async def test_signing_in_and_out(guarded: Site) -> None:
    """Without a session there is only the form; with the token there is a page until one leaves."""
    client = guarded.client
    assert (await client.get("/")).headers["location"] == "/login"
    wrong = await client.post("/login", data={"token": "guess"})
    assert wrong.status_code == 401
    assert "Wrong admin token" in wrong.text
    welcome = await client.post("/login", data={"token": "s3cret-of-the-page"})
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "s3cret-of-the-page" not in cookie
    assert "Sign out" in (await client.get("/")).text
    assert (await client.get("/api/v1/events")).is_success
    await client.post("/logout")
    assert (await client.get("/")).status_code == 303


async def test_a_press_after_the_session_has_ended_leads_to_the_login(guarded: Site) -> None:
    """A browser is shown where to sign in, and why; a program gets the problem document."""
    client, press = guarded.client, "/deliveries/1/retry"
    pressed = await client.post(press, headers={"accept": "text/html,*/*;q=0.8"})
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/login?ended")
    login = await client.get(pressed.headers["location"])
    assert "Your session has ended. Sign in again." in login.text
    asked = await client.post(press)
    assert asked.status_code == 401
    assert asked.headers["content-type"] == "application/problem+json"


async def test_the_times_in_a_reason_are_those_of_its_account(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Reasons are stored with times in UTC; what is no time is left alone."""
    event = await record(pool, task(account="field"), Kind.COMPLETED, at=clock.now())
    await plan(pool, event, State.FAILED)
    reason = "silenced until 2026-03-06 16:30 UTC (silence 3): since 2026-99-06 16:30 UTC"
    await pool.execute("UPDATE deliveries SET reason = $1", reason)
    page = (await web.client.get("/")).text
    shown = "silenced until Fri 6 Mar, 11:30 (New York) (silence 3): since 2026-99-06 16:30 UTC"
    assert shown in page


async def test_a_form_that_no_page_of_ours_sends_is_refused(guarded: Site) -> None:
    """More fields than any form here has: the sender's fault, not one of ours."""
    answer = await guarded.client.post("/login", data={f"f{n}": "x" for n in range(21)})
    assert answer.status_code == 400
    assert "20 fields" in answer.json()["detail"]


async def test_a_session_ends_and_cannot_be_made_up(guarded: Site, clock: VirtualClock) -> None:
    """After a week one signs in again; a cookie with a later date is not believed."""
    client = guarded.client
    await client.post("/login", data={"token": "s3cret-of-the-page"})
    [(name, value)] = client.cookies.items()
    clock.advance(SESSION + timedelta(seconds=1))
    assert (await client.get("/")).status_code == 303
    later = str(int(clock.now().timestamp()) + 1000)
    for forged in (f"{later}.{value.partition('.')[2]}", later, "", ".", "x.y"):
        answer = await client.get("/", headers={"cookie": f"{name}={forged}"})
        assert answer.status_code == 303


async def test_an_account_that_is_read_anew_says_so(
    web: Site, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Above all, with the account, and beside what waits for it; not that all is well."""
    event = await record(pool, task(account="field"), Kind.COMPLETED, at=clock.now())
    await plan(pool, event, channel="customer", target="details", text="")
    await pool.execute(
        """
        UPDATE accounts SET baseline_at = $1, scanned_at = $1, resumed_at = $2, stale_since = $2
        WHERE name = 'field'
        """,
        clock.now() - timedelta(hours=1),
        clock.now(),
    )
    async with Redis.from_url(valkey.url) as redis:
        await redis.set(QUEUE + health_check_key_suffix, "at work")
        page = " ".join((await web.client.get("/")).text.split())
        await redis.delete(QUEUE + health_check_key_suffix)
    assert "All is well" not in page
    assert "field: Taskbell may have missed changes" in page
    assert ">reading all tasks again</span>" in page
    latest = labels.local(clock.now() + timedelta(minutes=30), ZoneInfo("America/New_York"))
    assert f"wait for this, but no longer than {latest} (New York)" in page
    assert "Waiting: Taskbell is reading all tasks of field again first." in page


async def test_a_paused_account_says_so_beside_what_waits_for_it(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Whoever wonders why a message does not go out reads the reason and the way out of it."""
    event = await record(pool, task(account="field"), Kind.COMPLETED, at=clock.now())
    await plan(pool, event, State.PLANNED, channel="customer", target="details")
    assert "resume" not in (await web.client.get("/")).text
    await pool.execute("UPDATE accounts SET paused = true WHERE name = 'field'")
    page = (await web.client.get("/")).text
    assert (
        "Waiting: field is paused. This message is sent after someone resumes the account." in page
    )
    assert '<a href="/connections#account-field">Connections</a> and choose "Resume"' in page


async def test_with_a_paused_account_not_all_is_well(
    web: Site, pool: Pool, valkey: EmbeddedValkey
) -> None:
    """Nothing is read from it and nothing sent through it: the verdict says so, for each."""
    async with Redis.from_url(valkey.url) as redis:
        await redis.set(QUEUE + health_check_key_suffix, "at work")
        await pool.execute("UPDATE accounts SET paused = true WHERE name = 'field'")
        one = (await web.client.get("/")).text
        await pool.execute("UPDATE accounts SET paused = true WHERE name = 'london'")
        both = (await web.client.get("/")).text
        await redis.delete(QUEUE + health_check_key_suffix)
    assert "All is well" not in one + both
    assert "No problem, but field is paused: Taskbell does not read from it" in one
    assert "field, london are paused: Taskbell does not read from them" in both


async def test_today_asks_before_it_sends_to_a_customer_again(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Also if the message goes to the customer's own address; a colleague gets it at once."""
    about = task(customer=Customer(name="Ida Smith", email="ida@smith.test"))
    for channel, target, is_asked in (
        ("customer", "details", True),
        ("email", "ida@smith.test", True),
        ("slack", "#office", False),
    ):
        event = await record(pool, about, Kind.COMPLETED, at=clock.now())
        number = await plan(pool, event, State.FAILED, channel=channel, target=target)
        page = (await web.client.get("/")).text
        assert f"/deliveries/{number}/retry" in page
        assert ("This sends the message to Ida Smith." in page) == is_asked
        assert ("Yes, send it to the customer" in page) == is_asked
        await pool.execute("DELETE FROM deliveries")


@pytest.mark.parametrize(
    ("action", "state", "columns"),
    [
        ("retry", State.FAILED, {}),
        ("send-now", State.PLANNED, {"next_attempt_at": timedelta(hours=2)}),
        ("approve", State.HELD, {"approver": "slack:#boss", "approve_by": timedelta(hours=1)}),
    ],
)
async def test_what_goes_to_a_customer_can_be_stopped_for_ten_seconds(
    web: Site, pool: Pool, clock: VirtualClock, action: str, state: State, columns: dict[str, Any]
) -> None:
    """The card says so, asks first, and its button stops it; a colleague gets it at once."""
    now = clock.now()
    given = {
        name: now + one if isinstance(one, timedelta) else one for name, one in columns.items()
    }
    due = {}
    for channel, target in (("customer", "details"), ("slack", "#office")):
        event = await record(pool, task(customer=Customer(name="Ida")), Kind.COMPLETED, at=now)
        number = await plan(pool, event, state, channel=channel, target=target)
        for name, value in given.items():
            await pool.execute(f"UPDATE deliveries SET {name} = $2 WHERE id = $1", number, value)
        if channel == "customer":
            page = (await web.client.get("/messages/" + str(number))).text
            assert "You have ten seconds to stop it." in page
            other = {"retry": "/", "approve": "/coming"}.get(action, f"/messages/{number}")
            assert "You have ten seconds to stop it." in (await web.client.get(other)).text
        await web.client.post(f"/deliveries/{number}/{action}")
        due[channel] = await pool.fetchval(
            "SELECT next_attempt_at FROM deliveries WHERE id = $1", number
        )
        stopping = '"Do not send" stops it' in (await web.client.get(f"/messages/{number}")).text
        assert stopping == (channel == "customer")
    assert due == {"customer": now + timedelta(seconds=10), "slack": now}
    number = await pool.fetchval("SELECT id FROM deliveries WHERE channel = 'customer'")
    assert '"Do not send" stops it' in (await web.client.get("/")).text
    await web.client.post(f"/deliveries/{number}/cancel")
    state_now = await pool.fetchval("SELECT state FROM deliveries WHERE id = $1", number)
    assert state_now == "cancelled"


async def test_today_counts_messages_and_each_count_is_a_link(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """What waits, and how those of today ended, by the days of the configuration's zone."""
    now = clock.now()
    for state, times in ((State.SENT, 3), (State.FAILED, 1), (State.PLANNED, 2)):
        for _ in range(times):
            await plan(pool, await record(pool, task(), Kind.COMPLETED, at=now), state)
    old = await record(pool, task(), Kind.COMPLETED, at=now - timedelta(days=1))
    await plan(pool, old, State.SENT)
    page = (await web.client.get("/")).text
    found = dict(re.findall(r'<a href="(/messages\?state=[^"]*)"><b>([^<]*)</b>', page))
    assert {unescape(path): count for path, count in found.items()} == {
        "/messages?state=waiting": "2",
        "/messages?state=on_hold": "0",
        "/messages?state=approval": "0",
        "/messages?state=sent&day=2026-03-06": "3",
        "/messages?state=failed&day=2026-03-06": "1",
        "/messages?state=unknown&day=2026-03-06": "0",
    }
    for path, count in found.items():
        listed = (await web.client.get(unescape(path))).text
        assert listed.count('<li class="card">') == int(count)


async def test_what_failed_is_said_in_plain_words(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """With what to do about it; the error itself is folded away behind them."""
    error = "london: POST /tasks/1/notify was rejected (422): no such template"
    for reason, says in (
        (error, "london did not accept this"),
        ("it broke", "london could not send this"),
    ):
        event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
        await plan(pool, event, State.FAILED, channel="customer", target="details")
        await pool.execute("UPDATE deliveries SET reason = $1", reason)
        page = (await web.client.get("/")).text
        assert says in page
        assert re.search(rf"Details</summary><p class=.reason.>{re.escape(reason)}", page)
        await pool.execute("DELETE FROM deliveries")


async def test_an_error_is_a_page_for_browsers_and_a_document_for_scripts(web: Site) -> None:
    """An address that is not there, one that is for a button, and one of the API."""
    for path, status, says in (
        ("/nothing/here", 404, "There is nothing at this address."),
        ("/deliveries/1/retry", 405, "This address belongs to a button and cannot be opened."),
        ("/api/v1/tasks?limit=none", 400, "limit: expected a number"),
    ):
        page = await web.client.get(path, headers={"accept": "text/html,*/*"})
        assert (page.status_code, page.headers["content-type"]) == (
            status,
            "text/html; charset=utf-8",
        )
        assert says in page.text
        assert 'href="/"' in page.text
        document = await web.client.get(path)
        assert document.headers["content-type"] == "application/problem+json"
        assert document.json()["status"] == status
        assert document.headers.get("allow") == page.headers.get("allow")


def test_just_now_is_less_than_ten_seconds_ago(clock: VirtualClock) -> None:
    """Then the seconds are counted, in both directions."""
    now = clock.now()
    said = [labels.from_now(now + timedelta(seconds=one), now) for one in (-9, -10, -59, -60)]
    assert said == ["just now", "10 seconds ago", "59 seconds ago", "1 minute ago"]
    said = [labels.from_now(now + timedelta(seconds=one), now) for one in (9, 10, 60)]
    assert said == ["in a moment", "in 10 seconds", "in 1 minute"]


async def test_an_account_says_what_its_webhooks_do(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """When the last came, and what polls had to find in their place."""
    await pool.execute(
        "UPDATE accounts SET webhook_at = $1, missed = 1200, missed_at = $1 WHERE name = 'london'",
        clock.now() - timedelta(minutes=5),
    )
    page = " ".join(re.sub(r"<.*?>", "", (await web.client.get("/")).text).split())
    assert "Last webhook 5 minutes ago." in page
    assert "Regular checks found 1,200 changes that no webhook had reported" in page
    assert "reported, the last one 5 minutes ago." in page


async def test_a_message_to_the_operator_is_about_an_account(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The page shows a message to the operator, which has neither task nor event."""
    await pool.execute(
        """
        INSERT INTO deliveries (account, task, rule, once_key, step, channel, target, lane,
            at_most_once, text, state, created_at, settled_at)
        VALUES ('field', '', 'account.failing', 'f', 1, 'slack', '#ops', 'slack', false,
            'field has been failing', 'sent', $1, $1)
        """,
        clock.now(),
    )
    page = (await web.client.get("/")).text
    assert 'About the account <a href="/connections#account-field">field</a> itself' in page
    delivery = (await web.client.get("/api/v1/deliveries")).json()["data"][0]
    assert (delivery["task"], delivery["event"]) == ("", None)


async def test_a_schedule_and_a_digest_say_what_they_are(
    pool: Pool, clock: VirtualClock, web: Site
) -> None:
    """Neither is about one task: a schedule has its time, a digest the event that opened it."""
    async with pool.acquire() as connection:
        events = PostgresEvents(connection)
        [number] = await events.allot_ids(1)
        came = Event(
            number,
            "london",
            "",
            Kind.SCHEDULED,
            clock.now(),
            Cause.CLOCK,
            None,
            None,
            alarm="30 7 * * 1-5",
        )
        await events.insert([came], "v1", clock.now())
    await plan(pool, came, text="Good morning")
    opened = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    await plan(pool, replace(opened, task_id=""), text="3 done")
    page = " ".join(re.sub(r"<[^>]*>", "", (await web.client.get("/")).text).split())
    assert "The scheduled time of a rule came (schedule 30 7 * * 1-5, london)" in page
    assert "Sent on a schedule" in page
    assert "Combined message, started when Smith gutters is done" in page


async def test_silences_are_shown_and_can_be_ended(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Whom nobody writes to now, until when and why; one press ends it, another comes too late."""
    now = clock.now()
    silence = Silence(0, now, now + timedelta(hours=2), "stocktaking", customer="<Smith>")
    number = await silences.add(pool, silence, by=Actor("Ann"))
    page = " ".join((await web.client.get("/")).text.split())
    assert "<b>customer &lt;Smith&gt;</b>" in page
    assert "in 2 hours" in page
    assert 'stocktaking <span class="faint">(Ann)' in page
    for comes_back in ("/", "/?too_late"):
        ended = await web.client.post(f"/silences/{number}/expire")
        assert ended.headers["location"] == comes_back
    assert "stocktaking" not in (await web.client.get("/")).text


async def test_a_page_is_bounded_whatever_the_data(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """A megabyte in every text, dozens of storms and silences: the page stays a page."""
    long, now = "<b>x</b>" * 131_072, clock.now()
    for state in (State.FAILED, State.PLANNED, State.SENT):
        event = await record(pool, replace(task(), title=long), Kind.CREATED, at=now)
        await plan(pool, event, state)
    await pool.execute(
        "UPDATE deliveries SET text = $1, subject = $1, reason = $1,"
        " settled_at = CASE state WHEN 'sent' THEN $2::timestamptz END, next_attempt_at = $2",
        long,
        now,
    )
    await pool.execute(
        "INSERT INTO receipts (account, key, body, headers, received_at, state, reason)"
        " VALUES ('open', 'k', '', '{}', $1, 'poison', $2)",
        now,
        long,
    )
    await pool.execute(
        "INSERT INTO storms (flood, account, reason, began_at)"
        " SELECT 'open ' || n, 'open', repeat('x', 100000), $1 FROM generate_series(1, 60) AS n",
        now,
    )
    for _ in range(60):
        one = Silence(0, now, now + timedelta(hours=1), long, rule=long)
        await silences.add(pool, one, Actor("Ann"))
    page = (await web.client.get("/")).text
    assert len(page) < 500_000
    assert "<b>x</b>" not in page
    assert page.count("and 35 more") == 2
