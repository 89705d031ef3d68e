"""Connections and the webhook log: what they say of accounts, channels and webhooks, and do."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from http import HTTPStatus
from ipaddress import ip_network
from pathlib import Path

import orjson
import pytest

from service.clock import VirtualClock
from service.domain.model import Cause, Kind, State
from service.errors import SourceError
from service.explain.account_advice import what_to_do
from service.http.client import open_client
from service.http.throttle import Unthrottled
from service.http.upstream import SystemClient
from service.outbox import destinations
from service.outbox.destinations import LaneOutage
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.history import know, plan, record
from tests.harness.site import Site, site
from tests.harness.tasks import task
from workers.canaries import doubt

HTML = {"accept": "text/html"}
HOSTILE = '<script>alert(1)</script>"\u202eevil\u202c'


@pytest.fixture
async def guarded(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """A site with an admin token."""
    async with site(tmp_path, pool, clock, valkey.url, token="s3cret-of-the-page") as running:
        yield running


async def shown(web: Site, path: str) -> str:
    """The page as text, without its tags."""
    answer = await web.client.get(path, headers=HTML)
    assert answer.status_code == HTTPStatus.OK, answer.text
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


async def came(pool: Pool, clock: VirtualClock, account: str = "open", **columns: object) -> int:
    """A webhook is in the log; returns its number."""
    values = {
        "account": account,
        "key": str(columns.get("key", await pool.fetchval("SELECT count(*) FROM receipts"))),
        "body": columns.get("body", b"{}"),
        "headers": orjson.dumps(columns.get("headers", {})).decode(),
        "received_at": columns.get("received_at", clock.now()),
        "state": columns.get("state", "done"),
        "reason": columns.get("reason"),
        "settled_at": columns.get("settled_at"),
        "acknowledged_at": columns.get("acknowledged_at"),
    }
    names = ", ".join(values)
    places = ", ".join(f"${n}" for n, _ in enumerate(values, 1))
    number: int = await pool.fetchval(
        f"INSERT INTO receipts ({names}) VALUES ({places}) RETURNING id", *values.values()
    )
    return number


async def test_an_account_says_how_it_is(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Last read, last webhook, what webhooks missed, and how many calls are left."""
    now = clock.now()
    await pool.execute(
        """
        UPDATE accounts SET baseline_at = $1, scanned_at = $1, polled_at = $1, webhook_at = $2,
            missed = 1200, missed_at = $2, next_poll_at = $3 WHERE name = 'field'
        """,
        now - timedelta(minutes=3),
        now - timedelta(minutes=5),
        now + timedelta(minutes=2),
    )
    await pool.execute("INSERT INTO rate_limits VALUES ('field', $1)", now - timedelta(seconds=4))
    page = await shown(web, "/connections")
    assert "ok field Kickserv (New York)" in page
    assert "Last read 3 minutes ago" in page
    assert "Next read in 2 minutes" in page
    assert "Last webhook 5 minutes ago" in page
    assert "Not reported 1,200 changes that no webhook reported, the last one" in page
    assert "Requests 7 more can be made at once (20 at most); 120 requests a minute at most" in page


async def test_an_account_that_may_not_be_called_says_until_when(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """In the account's zone, which is named."""
    until = clock.now() + timedelta(hours=1)
    await pool.execute(
        "INSERT INTO rate_limits (account, next_call_at, refused_until) VALUES ('field', $1, $1)",
        until,
    )
    assert "Requests none until Fri 6 Mar, 08:00 (New York)" in await shown(web, "/connections")


async def test_a_failing_account_comes_first_and_says_what_to_do(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """With the system's answer, since when, and advice in plain words."""
    await pool.execute(
        "UPDATE accounts SET failing_since = $1, error = $2 WHERE name = 'open'",
        clock.now() - timedelta(hours=1),
        f"open: GET /tasks refused the account's credentials (401): {HOSTILE}",
    )
    page = await shown(web, "/connections")
    assert "GET /tasks refused the account's credentials (401): <script>" in page
    assert "since Fri 6 Mar, 11:00" in page
    assert "The token was refused. Get a new token in Plannr" in page
    assert page.index("failing open") < page.index(" field ")
    assert "<script>alert" not in (await web.client.get("/connections")).text


@pytest.mark.parametrize(
    ("status", "media", "advice"),
    [
        (401, "application/json", "The token was refused."),
        (429, "application/json", "asked Taskbell to call less often"),
        (404, "text/html", "check the base_url of field"),
        (200, "text/html", "check the base_url of field"),
        (500, "application/json", "If this stays for more than an hour"),
        (None, "", "Taskbell cannot reach Kickserv."),
    ],
)
async def test_advice_follows_from_what_a_call_says(
    clock: VirtualClock, status: int | None, media: str, advice: str
) -> None:
    """The words of the real errors are those by which advice is given."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} Said\r\ncontent-type: {media}\r\ncontent-length: 9\r\n\r\n"
        writer.write(head.encode() + b"<p>no</p>")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if status is None:
        server.close()
    async with open_client([ip_network("127.0.0.0/8")]) as client:
        system = SystemClient(
            "field",
            client,
            f"http://127.0.0.1:{port}",
            clock,
            headers={},
            secret="",
            throttle=Unthrottled(),
        )
        with pytest.raises(SourceError) as failed:
            await system.request("GET", "/tasks")
    server.close()
    account = {"state": "failing", "id": "field", "system": "kickserv"}
    assert advice in (what_to_do({**account, "error": str(failed.value)}) or "")


async def test_an_account_that_works_needs_no_advice() -> None:
    """Nor does one that is paused."""
    assert what_to_do({"state": "paused", "error": "x", "id": "a", "system": "s"}) is None


async def test_a_sync_shows_how_far_it_is(web: Site, pool: Pool) -> None:
    """As a number and as a bar, where the system says how many there are."""
    await pool.execute(
        "UPDATE accounts SET scan_read = 12400, scan_total = 200000 WHERE name = 'field'"
    )
    assert "Being read: 12,400 of 200,000 tasks so far." in await shown(web, "/connections")
    page = (await web.client.get("/connections")).text
    assert '<progress value="12400" max="200000"' in page


async def test_an_account_is_paused_resumed_and_read_by_buttons(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Each does what its command does, and leads back."""
    back = {"back": "/connections"}

    async def press(action: str) -> None:
        answer = await web.client.post(f"/connections/field/{action}", data=back)
        assert (answer.status_code, answer.headers["location"]) == (303, "/connections")

    await press("pause")
    assert await pool.fetchval("SELECT paused FROM accounts WHERE name = 'field'")
    page = await shown(web, "/connections")
    assert "Messages that wait for this account are sent after you resume it." in page
    too_late = await web.client.post("/connections/field/sync", data=back)
    assert too_late.headers["location"] == "/connections?too_late"
    assert "Someone already handled this" in await shown(web, "/connections?too_late")

    await press("resume")
    row = await pool.fetchrow("SELECT paused, scan_asked_at FROM accounts WHERE name = 'field'")
    assert row is not None
    assert tuple(row) == (False, clock.now())

    clock.advance(timedelta(minutes=1))
    refused = clock.now() + timedelta(hours=1)
    await pool.execute(
        "INSERT INTO rate_limits (account, next_call_at, refused_until) VALUES ('field', $1, $1)",
        refused,
    )
    await press("sync")
    asked = await pool.fetchval("SELECT scan_asked_at FROM accounts WHERE name = 'field'")
    assert asked == clock.now()
    assert await pool.fetchval("SELECT refused_until FROM rate_limits") == clock.now()


async def test_missing_tasks_are_believed_to_be_deleted_by_a_button(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """It is there while tasks are missing; the usual button does not believe it."""
    assert "treat them as deleted" not in await shown(web, "/connections")
    await pool.execute(
        "INSERT INTO lookups (account, task, cause, asked_at, next_attempt_at, absent_at)"
        " SELECT 'field', n::text, 'fetch', $1, $1, $1 FROM generate_series(1, 7) AS n",
        clock.now(),
    )
    page = await shown(web, "/connections")
    assert "Taskbell then treats 7 tasks as deleted" in page
    believed = "SELECT believed FROM accounts WHERE name = 'field'"
    await web.client.post("/connections/field/sync", data={"back": "/connections"})
    assert not await pool.fetchval(believed)
    await web.client.post("/connections/field/sync", data={"believe": "yes"})
    assert await pool.fetchval(believed)


async def test_a_list_without_any_known_task_is_confirmed_by_a_button(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """On Connections and on Today, after a question; both say what it is about."""
    await pool.execute(
        "UPDATE accounts SET failing_since = $1, error = $2 WHERE name = 'field'",
        clock.now(),
        str(doubt("field", 12)),
    )
    for path in ("/connections", "/"):
        page = await shown(web, path)
        assert "Yes, treat them as deleted" in page
        assert "Usually someone has limited Taskbell's access to Kickserv" in page
        assert "Taskbell then treats all missing tasks as deleted" in page
    await web.client.post("/connections/field/sync", data={"believe": "yes"})
    assert await pool.fetchval("SELECT believed FROM accounts WHERE name = 'field'")


async def test_nothing_is_done_for_strangers_or_other_sites(
    web: Site, guarded: Site, pool: Pool
) -> None:
    """Without a session, or from another origin, no button does anything."""
    for path in ("/connections/field/pause", "/channels/accounting/test"):
        assert (await guarded.client.post(path)).status_code == 401
        elsewhere = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert (await web.client.post(path, headers=elsewhere)).status_code == 403
        assert (await web.client.get(path)).status_code in {404, 405}
    assert not await pool.fetchval("SELECT bool_or(paused) FROM accounts")
    for path in ("/connections", "/webhooks", "/webhooks/1"):
        answer = await guarded.client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_an_account_or_channel_that_does_not_exist_is_told(web: Site) -> None:
    """On a page, not as JSON."""
    for path in ("/connections/nobody/pause", "/channels/nothing/test"):
        answer = await web.client.post(path, headers=HTML)
        assert answer.status_code == 404
        assert "There is no" in answer.text
        assert answer.headers["content-type"].startswith("text/html")


async def test_a_channel_that_fails_as_a_whole_needs_attention(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Today and Connections say since when, why, and that the messages wait."""
    outage = LaneOutage(clock.now(), f"refused: {HOSTILE}", clock.now(), 0)
    await destinations.begin_outage(pool, "accounting", outage)
    clock.advance(timedelta(minutes=3))
    for path in ("/", "/connections"):
        page = await shown(web, path)
        assert "not working accounting" in page
        assert "Messages wait, and are sent as soon as it works. refused:" in page
        assert "<script>alert" not in (await web.client.get(path)).text
    assert "1 item needs attention" in await shown(web, "/")
    await destinations.end_outage(pool, "accounting", clock.now())
    assert "not working" not in await shown(web, "/")


async def test_a_channel_says_what_fails_on_it(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """What failed lately, what is tried again, and why; what is old or decided does not count."""
    assert "ok accounting webhook" in await shown(web, "/connections")
    for state in (State.FAILED, State.UNKNOWN, State.PLANNED, State.FAILED, State.FAILED):
        await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()), state)
    await pool.execute(
        "UPDATE deliveries SET lane = 'accounting', reason = $1, attempts = 1, settled_at = $2",
        f"answered 500: {HOSTILE}",
        clock.now() - timedelta(hours=2),
    )
    numbers = [row["id"] for row in await pool.fetch("SELECT id FROM deliveries ORDER BY id")]
    await pool.execute("UPDATE deliveries SET acknowledged_at = now() WHERE id = $1", numbers[-1])
    await pool.execute(
        "UPDATE deliveries SET settled_at = $2 WHERE id = $1",
        numbers[-2],
        clock.now() - timedelta(days=8),
    )
    page = await shown(web, "/connections")
    assert "messages failed accounting webhook" in page
    assert "2 messages of the last 7 days need a decision: they failed, or may have arrived" in page
    assert "The last one was 2 hours ago" in page
    assert "1 message could not be sent yet. Taskbell tries again by itself" in page
    text = (await web.client.get("/connections")).text
    assert "<script>alert" not in text


async def test_what_fails_through_a_system_is_with_its_account(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """It has a lane of its own, which no channel has."""
    await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()), State.FAILED)
    await pool.execute("UPDATE deliveries SET lane = 'account:london', reason = 'no phone number'")
    page = await shown(web, "/connections")
    assert page.index("no phone number") < page.index("Channels")
    assert "1 message of the last 7 days needs a decision: it failed, or may have arrived" in page


async def test_a_test_message_that_does_not_go_out_says_why(web: Site) -> None:
    """Nobody listens at the channel's address: the page says so, and leads back."""
    answer = await web.client.post("/channels/accounting/test", headers=HTML)
    assert "The test message was not sent." in answer.text
    assert "accounting: it was not sent: " in answer.text
    assert 'href="/connections"' in answer.text
    long = {"target": "x" * 301}
    answer = await web.client.post("/channels/accounting/test", data=long, headers=HTML)
    assert answer.status_code == 400
    assert "one line of up to 300 characters" in answer.text


async def test_an_empty_log_says_what_will_be_there(web: Site) -> None:
    """And is reached from Connections, but is not in the navigation."""
    assert "No webhook has come in yet." in await shown(web, "/webhooks")
    page = (await web.client.get("/connections")).text
    assert '<a href="/webhooks">Webhook log</a>' in page
    assert "/webhooks" not in page[page.index("<nav") : page.index("</nav>")]


async def test_the_log_says_what_became_of_each_webhook(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Newest first, by account and by state; what could not be read with its reason."""
    now = clock.now()
    done = await came(pool, clock)
    waiting = await came(pool, clock, "london", state="pending")
    unread = await came(pool, clock, state="poison", reason="there is no id in it")
    ignored = await came(
        pool, clock, "field", state="poison", reason="; ignored by Ann", acknowledged_at=now
    )
    page = await shown(web, "/webhooks")
    words = [
        f"ignored Webhook {ignored} field",
        f"could not be read Webhook {unread} open",
        f"waiting Webhook {waiting} london",
        f"done Webhook {done} open , 2 bytes just now",
    ]
    assert sorted(words, key=page.index) == words
    assert "there is no id in it Try again Ignore" in page

    async def listed(query: str) -> list[int]:
        answer = await web.client.get(f"/webhooks?{query}")
        return [int(one) for one in re.findall(r'href="/webhooks/(\d+)"', answer.text)]

    assert await listed("account=open&state=") == [unread, done]
    assert await listed("account=&state=unread") == [unread]
    for state, number, account in (
        ("done", done, "open"),
        ("waiting", waiting, "london"),
        ("unread", unread, "open"),
        ("ignored", ignored, "field"),
    ):
        assert await listed(f"state={state}") == [number]
        assert await listed(f"account={account}&state={state}") == [number]
        assert await listed(f"account={account}&state={state}&too_late") == [number]
    assert await listed("account=london&state=done") == []
    assert "No webhook matches." in await shown(web, "/webhooks?account=london&state=done")


async def test_the_log_is_paged(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """By a link that keeps the filter, until there is no more."""
    numbers = [await came(pool, clock, key=f"k{n}") for n in range(7)]
    await came(pool, clock, "london")
    path, seen = "/webhooks?account=open&limit=3", list[int]()
    while path:
        page = (await web.client.get(path)).text
        seen += [int(one) for one in re.findall(r'href="/webhooks/(\d+)"', page)]
        older = re.search(r'href="([^"]*)" rel="next"', page)
        path = f"{unescape(older[1])}&limit=3" if older else ""
    assert seen == numbers[::-1]
    assert '<a href="/webhooks?account=open">Newest</a>' in page


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks?state=lost",
        "/webhooks?account=nobody",
        "/webhooks?cursor=x",
        "/webhooks?cursor=WzEuNV0",
        "/webhooks?limit=0",
        "/webhooks?nothing=1",
        "/webhooks?account=%00",
        "/webhooks/0",
        "/webhooks/abc",
        "/webhooks/99999999999999999999",
        "/webhooks/9999999999999999999",
        "/webhooks/-1",
    ],
)
async def test_what_cannot_be_asked_for_gives_a_page(web: Site, path: str) -> None:
    """In plain words, and with a way back."""
    answer = await web.client.get(path, headers=HTML)
    assert answer.status_code in {400, 404}
    assert answer.headers["content-type"].startswith("text/html")
    assert "Open the Taskbell page" in answer.text


async def test_a_webhook_is_shown_with_what_came_of_it(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Its body, its headers, the tasks that it tells of, and what changed because of it."""
    now = clock.now()
    known = task("T/1", "open", title=HOSTILE)
    await know(pool, known, at=now)
    before = now - timedelta(days=1)
    await record(pool, known, Kind.CREATED, at=before, cause=Cause.WEBHOOK)
    await record(pool, known, Kind.COMPLETED, at=now, cause=Cause.WEBHOOK)
    body = {"event": "task.completed", "data": {"uuid": "T/1", "title": HOSTILE}}
    number = await came(
        pool,
        clock,
        body=orjson.dumps(body),
        headers={"user-agent": HOSTILE},
        settled_at=now + timedelta(seconds=2),
    )
    clock.advance(timedelta(minutes=5))
    page = await shown(web, f"/webhooks/{number}")
    assert "Received Fri 6 Mar, 12:00, 5 minutes ago" in page
    assert '"event": "task.completed"' in page
    assert r"<script>alert(1)</script>\"\u202eevil\u202c" in page
    assert f"user-agent {HOSTILE}" in page
    text = (await web.client.get(f"/webhooks/{number}")).text
    assert "<script>alert" not in text
    assert text.count('href="/tasks/open/T/1"') + text.count('href="/tasks/open/T%2F1"') == 2
    assert "is done, reported at once, by webhook" in page
    assert "is new" not in page


async def test_a_webhook_of_any_size_makes_a_page(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """However long or deep its body is, and however it is written, the page ends."""
    deep = b"[" * 99 + b"1," * 50_000 + b"1" + b"]" * 99
    for n, body in enumerate((deep, b'"' + b"x" * 1_000_000 + b'"', b'"\\ud800"', b"null")):
        number = await came(pool, clock, body=body, key=f"k{n}", state="poison", reason="x" * 9999)
        answer = await web.client.get(f"/webhooks/{number}")
        assert answer.status_code == 200
        assert len(answer.text) < 60_000
        assert ("Only the first 20,000" in answer.text) == (n < 2)
        assert "No task can be read from this webhook." in answer.text
    assert len((await web.client.get("/webhooks")).text) < 60_000


async def test_a_webhook_of_an_account_that_is_gone_is_shown(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """It may have come before the account was taken out of the configuration."""
    number = await came(pool, clock, "gone", state="poison", reason="account gone is no longer")
    assert "account gone is no longer" in await shown(web, f"/webhooks/{number}")
    assert f"Webhook {number} gone" in await shown(web, "/webhooks?state=unread")


async def test_what_could_not_be_read_is_tried_again_or_ignored(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """From the page of the webhook, to which the button leads back; also what was ignored."""
    number = await came(pool, clock, state="poison", reason="no id")
    page = (await web.client.get(f"/webhooks/{number}")).text
    assert f'<input type="hidden" name="back" value="/webhooks/{number}">' in page
    for action, state in (("cancel", "ignored"), ("retry", "waiting")):
        answer = await web.client.post(
            f"/webhooks/{number}/{action}", data={"back": f"/webhooks/{number}"}
        )
        assert answer.headers["location"] == f"/webhooks/{number}"
        assert f"{state} open" in await shown(web, f"/webhooks/{number}")
    page = await shown(web, f"/webhooks/{number}?too_late")
    assert "Someone already handled this" in page
    assert "Try again" not in page


async def test_a_button_does_not_lead_back_to_too_late(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """That somebody came too late is said once; the filter stays."""
    await came(pool, clock, state="poison", reason="no id")
    page = (await web.client.get("/webhooks?state=unread&too_late")).text
    assert 'name="back" value="/webhooks?state=unread"' in page
