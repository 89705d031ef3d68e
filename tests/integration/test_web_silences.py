"""The screen of silences and hours, and the switch that holds all customer messages."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Kind, State
from service.domain.operators.holds import Hold
from service.domain.operators.silences import Silence
from service.outbox import holds, silences
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.history import know, plan, record
from tests.harness.site import Site, configured, serving, site
from tests.harness.tasks import SMITH, task

HOUR = timedelta(hours=1)
HOSTILE = '<script>alert("x")</script>\u202egnp.exe'
MORE = """
hours: { office: "Mo-Fr 08:00-17:00; PH off", night: "Mo-Fr 22:00-06:00" }
holidays: { country: GB }
people: { "7": { email: crew@x.test } }
"""
ASKED = {"rule": "job-done", "length": "hour", "reason": "stocktaking"}


@pytest.fixture
async def office(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """A site with opening hours, holidays and people."""
    async with serving(configured(tmp_path, MORE), pool, clock, valkey.url) as running:
        yield running


async def saved(pool: Pool) -> list[dict[str, Any]]:
    return await silences.read(pool, datetime(2000, 1, 1, tzinfo=UTC))


async def ask(web: Site, **fields: str) -> tuple[int, str]:
    """Ask for a preview: its status and page, as a person reads it."""
    return await post(web, "/silences/preview", **fields)


async def post(web: Site, path: str, **fields: str) -> tuple[int, str]:
    answer = await web.client.post(path, data=fields, headers={"accept": "text/html"})
    return answer.status_code, plain(answer.text)


def plain(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", "", page)).split())


def inputs(page: str) -> dict[str, str]:
    """The fields of the form as a browser fills them in."""
    found = re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


async def planned(pool: Pool, clock: VirtualClock, count: int = 1, **changed: Any) -> list[int]:
    """Messages about a customer's task, due in some minutes; returns their numbers."""
    visit = task("T1", "london", title="Roof", customer=SMITH)
    await know(pool, visit, at=clock.now())
    event = await record(pool, visit, Kind.COMPLETED, at=clock.now())
    due = clock.now() + timedelta(minutes=5)
    return [
        await plan(pool, event, once_key=f"{event.id}/{number}", **{"send_at": due} | changed)
        for number in range(count)
    ]


async def test_what_it_hides_is_shown_before_anything_is_saved(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The messages with links; then one press saves what was shown."""
    clock.advance(timedelta(days=-3))
    await planned(pool, clock, 2, state=State.SENT)
    clock.advance(timedelta(days=3))
    [first, second] = await planned(pool, clock, 2)
    answer = await web.client.post("/silences/preview", data=ASKED)
    assert answer.status_code == 200
    said = plain(answer.text)
    assert "This hides 2 messages that are planned now (see below)" in said
    assert "2 messages of the last week would have been hidden, 2 of the last 30 days" in said
    for number in (first, second):
        assert f'href="/messages/{number}"' in answer.text
    assert await saved(pool) == []
    confirmed = hidden(answer.text)
    clock.advance(timedelta(minutes=2))
    after = await web.client.post("/silences", data=confirmed)
    assert (after.status_code, after.headers["location"]) == (303, "/silences")
    [one] = await saved(pool)
    assert (one["rule"], one["reason"]) == ("job-done", "stocktaking")
    assert one["created_by"] == "someone on this machine"
    assert one["ends_at"] == clock.now() + HOUR - timedelta(minutes=2)


async def test_no_more_messages_are_listed_than_a_page_holds(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Fifty, and how many more there are."""
    await planned(pool, clock, 53)
    status, said = await ask(web, **ASKED)
    assert (status, "This hides 53 messages" in said, "and 3 more" in said) == (200, True, True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rule": "job-doen"}, 'knows no rule "job-doen"; did you mean job-done?'),
        ({"rule": "JOB-DONE"}, 'knows no rule "JOB-DONE"; did you mean job-done'),
        ({"rule": "", "account": "londn"}, 'knows no account "londn"; did you mean london'),
        ({"person": "crew@x.tst"}, 'knows no person "crew@x.tst"; did you mean crew@x.test'),
        ({"person": "nobody@y.example"}, 'knows no person "nobody@y.example".'),
        ({"rule": ""}, "Say which messages to hide"),
        ({"everything": "yes"}, "not both"),
        ({"rule": "x" * 201}, "Rule: at most 200 characters on one line"),
        ({"rule": "a\0b"}, "Rule: at most 200 characters on one line"),
        ({"reason": ""}, "Reason: say why"),
        ({"reason": "x" * 501}, "Reason: say why"),
        ({"length": ""}, "Until: say how long or until when"),
        ({"length": "forever"}, "Until: say how long or until when"),
        ({"until": "2026-03-06T15:00"}, "Until: choose either how long or until when"),
        ({"length": "", "until": "tomorrow"}, "Until: enter a date and a time, such as"),
        ({"length": "", "until": "2027-02-29T10:00"}, "Until: enter a date and a time"),
        ({"length": "", "until": "9999-12-31T23:59"}, "Until: this is more than ten years ahead"),
        ({"length": "", "until": "0001-01-01T00:00+14:00"}, "Until: enter a date and a time"),
        ({"length": "", "until": "2026-03-06T11:59"}, "Until: this is in the past"),
        ({"from": "2026-03-01T10:00"}, "From: this is in the past"),
        (
            {"length": "", "from": "2026-03-07T10:00", "until": "2026-03-07T09:00"},
            "Until: this is not after From",
        ),
        (
            {"length": "", "from": "2026-03-07T10:00", "until": "2026-03-07T10:00"},
            "Until: this is not after From",
        ),
        (
            {"length": "", "until": "2026-03-29T01:30"},
            "Until: there is no such time on that day, because the clock is put forward",
        ),
        (
            {"account": "field", "length": "", "until": "2026-03-08T02:30"},
            "Until: there is no such time on that day",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/silences/preview", "/silences"])
async def test_what_makes_no_sense_is_refused(
    office: Site, pool: Pool, path: str, fields: dict[str, str], says: str
) -> None:
    """By both steps, with what was filled in, and nothing is saved."""
    wanted = ASKED | fields
    answer = await office.client.post(path, data=wanted)
    assert (answer.status_code, says in plain(answer.text)) == (400, True), plain(answer.text)
    assert inputs(answer.text)["reason"] == wanted["reason"][:501]
    assert await saved(pool) == []


@pytest.mark.parametrize(
    ("fields", "begins", "ends"),
    [
        ({"length": "hour"}, "2026-03-06T12:00", "2026-03-06T13:00"),
        ({"length": "evening"}, "2026-03-06T12:00", "2026-03-06T18:00"),
        ({"length": "morning"}, "2026-03-06T12:00", "2026-03-07T08:00"),
        ({"length": "week"}, "2026-03-06T12:00", "2026-03-13T12:00"),
        ({"until": "2028-02-29T10:00"}, "2026-03-06T12:00", "2028-02-29T10:00"),
        ({"from": "2026-03-28T12:00", "length": "week"}, "2026-03-28T12:00", "2026-04-04T11:00"),
        ({"from": "2026-03-06T11:30", "length": "hour"}, "2026-03-06T12:00", "2026-03-06T13:00"),
        ({"until": "2026-10-25T01:30"}, "2026-03-06T12:00", "2026-10-25T00:30"),
        ({"account": "field", "length": "evening"}, "2026-03-06T12:00", "2026-03-06T23:00"),
        ({"account": "field", "until": "2026-03-06T17:00"}, "2026-03-06T12:00", "2026-03-06T22:00"),
    ],
)
async def test_times_are_those_of_the_account(
    office: Site, pool: Pool, fields: dict[str, str], begins: str, ends: str
) -> None:
    """In its zone, over a change of the clock too; the first of an hour that comes twice."""
    answer = await office.client.post("/silences", data=ASKED | {"length": ""} | fields)
    assert answer.status_code == 303, plain(answer.text)
    [one] = await saved(pool)
    expected = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (begins, ends)]
    assert [one["created_at"], one["ends_at"]] == expected


async def test_in_the_evening_this_evening_is_over(office: Site, clock: VirtualClock) -> None:
    """It says what else to choose."""
    clock.advance(6 * HOUR)
    _, said = await ask(office, **ASKED | {"length": "evening"})
    assert "Until: it is evening already. Choose tomorrow morning, or a time" in said


async def test_a_customer_of_no_task_is_warned_about(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The next task may have it: the preview says so, and may be meant."""
    await planned(pool, clock)
    wanted = {**ASKED, "rule": "", "customer": "smtih"}
    status, said = await ask(web, **wanted)
    assert status == 200
    assert 'Taskbell knows no customer "smtih"; did you mean Smith?' in said
    assert "Until a task has it, this silence hides nothing" in said
    assert (await web.client.post("/silences", data=wanted)).status_code == 303
    assert [one["customer"] for one in await saved(pool)] == ["smtih"]


async def test_everything_can_be_silenced(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Only if it is asked for by name."""
    await planned(pool, clock)
    wanted = {**ASKED, "rule": "", "everything": "yes"}
    status, said = await ask(web, **wanted)
    assert (status, "This hides 1 message that is planned now" in said) == (200, True)
    await web.client.post("/silences", data=wanted)
    assert "everything" in plain((await web.client.get("/silences")).text)


async def test_it_lists_what_is_on_coming_and_over(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Who made it, why, until when, and what it has hidden; not what is long over."""
    now = clock.now()
    base = Silence(0, now - HOUR, now + HOUR, "stocktaking", rule="job-done")
    number = await silences.add(pool, base, by=Actor("Ann"))
    await silences.add(
        pool,
        replace(base, created_at=now + 24 * HOUR, ends_at=now + 48 * HOUR, reason="snow"),
        Actor("Bo"),
    )
    for days, why in ((2, "ended lately"), (40, "long over")):
        gone = now - timedelta(days=days)
        await silences.add(
            pool, replace(base, created_at=gone - HOUR, ends_at=gone, reason=why), Actor("Bo")
        )
    [hidden_one] = await planned(pool, clock, state=State.SKIPPED)
    await pool.execute("UPDATE deliveries SET silence = $1 WHERE id = $2", number, hidden_one)
    page = (await web.client.get("/silences")).text
    said = plain(page)
    assert "on rule job-done silence 1 Fri 6 Mar, 11:00 until Fri 6 Mar, 13:00, in 1 hour" in said
    assert "stocktaking (Ann) 1 message was hidden so far." in said
    assert "coming rule job-done silence 2 Sat 7 Mar, 12:00 until Sun 8 Mar, 12:00" in said
    assert "snow (Bo) No message was hidden so far." in said
    assert "ended lately (Bo) No message was hidden." in said
    assert "long over" not in said
    ended = await web.client.post(f"/silences/{number}/expire", data={"back": "/silences"})
    assert ended.headers["location"] == "/silences"
    again = await web.client.post(f"/silences/{number}/expire", data={"back": "/silences"})
    assert again.headers["location"] == "/silences?too_late"
    later = plain((await web.client.get("/silences?too_late")).text)
    assert "Someone already handled this" in later


async def test_foreign_text_stays_text(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """In the form, the list, the preview and the names that it offers."""
    now = clock.now()
    named = replace(SMITH, name=HOSTILE)
    await record(pool, task("T1", title=HOSTILE, customer=named), Kind.COMPLETED, at=now)
    await silences.add(
        pool,
        Silence(0, now, now + HOUR, HOSTILE, customer=HOSTILE, project="x" * 10_000),
        Actor(HOSTILE),
    )
    await holds.begin(pool, Hold(0, now, now + HOUR, HOSTILE, HOSTILE), by=Actor("Ann"))
    pages = [
        await web.client.get("/"),
        await web.client.get("/silences", params={"customer": HOSTILE, "rule": "y" * 10_000}),
        await web.client.post("/silences/preview", data=ASKED | {"reason": HOSTILE}),
        await web.client.post("/silences/preview", data=ASKED | {"rule": HOSTILE}),
        await web.client.post("/silences/preview", data=ASKED | {"reason": "\U0001f525" * 500}),
    ]
    for page in pages:
        assert "<script>alert" not in page.text
        assert len(page.text) < 60_000
    assert [page.status_code for page in pages] == [200, 200, 200, 400, 200]
    assert f"<bdi>customer {HOSTILE[:10]}" not in pages[1].text
    assert '<option value="&lt;script&gt;' in pages[1].text


@pytest.mark.parametrize("text", ["", "nonsense", "2026-02-30", "0001-01-01", "9999-12-31", "\0"])
async def test_a_week_that_is_none_is_this_one(office: Site, text: str) -> None:
    """As is one far away."""
    page = await office.client.get("/silences", params={"week": text})
    assert (page.status_code, "The week from 2 March 2026" in page.text) == (200, True)


def row(page: str, name: str) -> list[str]:
    """The cells of a line of the week."""
    [found] = [one for one in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if name in plain(one)]
    return [plain(cell) for cell in re.findall(r"<td.*?</td>", found, re.DOTALL)]


async def test_the_week_shows_hours_holidays_and_silences(
    office: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Day by day; Good Friday is in the week of 30 March 2026, and the clock changes before it."""
    now = clock.now()
    friday = Silence(0, now, now + 20 * HOUR, "x", customer="Smith")
    await silences.add(pool, friday, Actor("Ann"))
    await holds.begin(pool, Hold(0, now, now + HOUR, "snow", "Ann"), by=Actor("Ann"))
    page = (await office.client.get("/silences")).text
    assert row(page, "office") == [*["08:00-17:00"] * 5, "closed", "closed"]
    assert row(page, "night") == [
        "22:00-24:00",
        *["00:00-06:00, 22:00-24:00"] * 4,
        "00:00-06:00",
        "closed",
    ]
    assert row(page, "customer Smith") == [*[""] * 4, "from 12:00", "until 08:00", ""]
    assert row(page, "All customer messages") == [*[""] * 4, "from 12:00 until 13:00", "", ""]
    assert "holiday" not in plain(page)
    later = (await office.client.get("/silences?week=2026-04-02")).text
    assert row(later, "Public holidays (GB)") == [*[""] * 4, "holiday", "", ""]
    assert row(later, "office")[3:5] == ["08:00-17:00", "closed"]
    assert "customer Smith" not in "".join(re.findall(r"<table.*</table>", later, re.DOTALL))
    assert 'href="/silences?week=2026-03-23#week"' in later
    assert 'href="/silences?week=2026-04-06#week"' in later


async def test_the_week_of_the_change_of_the_clock_has_seven_days(
    office: Site, pool: Pool, clock: VirtualClock
) -> None:
    """On 29 March 2026 London has 23 hours."""
    ends = datetime(2026, 3, 29, 23, tzinfo=UTC)  # midnight there
    await silences.add(pool, Silence(0, clock.now(), ends, "x", customer="Smith"), Actor("Ann"))
    page = (await office.client.get("/silences?week=2026-03-29")).text
    assert row(page, "customer Smith") == ["all day"] * 7
    after = (await office.client.get("/silences?week=2026-03-30")).text
    assert "customer Smith" not in "".join(re.findall(r"<table.*</table>", after, re.DOTALL))


async def test_the_form_is_filled_in_from_where_one_comes(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """From a message, a task's customer, what is coming up, and a rule."""
    [number] = await planned(pool, clock)
    for path, filled in {
        f"/messages/{number}": {"rule": "job-done", "customer": "Smith"},
        "/tasks/london/T1": {"account": "london", "customer": "Smith"},
        "/coming": {"rule": "job-done", "customer": "Smith"},
        "/rules/job-done": {"rule": "job-done"},
    }.items():
        page = (await web.client.get(path)).text
        [link] = set(re.findall(r'href="(/silences\?[^"#]*)', page))
        form = inputs((await web.client.get(unescape(link))).text)
        named = {name: form[name] for name in ("rule", "account", "customer") if form[name]}
        assert named == filled, path


@pytest.mark.parametrize("name", ['A & B "C" <i>/%2f?#=+', "\u05d0\u202eevil", "x" * 200])
async def test_a_link_to_the_form_keeps_any_name(
    web: Site, pool: Pool, clock: VirtualClock, name: str
) -> None:
    """Also one that would mean something in an address."""
    visit = task("T1", "london", customer=replace(SMITH, name=name))
    event = await record(pool, visit, Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event)
    page = (await web.client.get(f"/messages/{number}")).text
    [link] = re.findall(r'href="(/silences\?[^"#]*)#new"', page)
    assert inputs((await web.client.get(unescape(link))).text)["customer"] == name


async def test_what_waits_for_a_person_may_be_hidden_at_any_time(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """A storm holds it, without a time at which it goes out."""
    await planned(pool, clock)
    await pool.execute("UPDATE deliveries SET state = 'held', storm = 7, next_attempt_at = NULL")
    status, said = await ask(web, **ASKED)
    assert (status, "This hides 1 message" in said, "on hold" in said) == (200, True, True)


async def test_no_more_silences_are_listed_than_a_page_holds(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """A hundred; a link leads to more of them."""
    now = clock.now()
    for number in range(101):
        one = Silence(0, now, now + HOUR, f"reason {number}.", rule="job-done")
        await silences.add(pool, one, Actor("Ann"))
    page = (await web.client.get("/silences")).text
    assert page.count('id="silence-') == 100
    more = re.findall(r'href="(/silences\?all[^"]*)"', page)
    page = (await web.client.get(more[0])).text
    assert page.count('id="silence-') == 101
    assert "?all" not in page


async def test_customer_messages_are_held_from_today(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """How long and why; what waits is counted there, and says so itself; a press releases it."""
    page = (await web.client.get("/")).text
    assert "Hold all customer messages" in page
    asked = {"length": "evening", "reason": "a funeral", "back": "/"}
    answer = await web.client.post("/holds", data=asked)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    async with pool.acquire() as connection:
        [hold] = await holds.still_on(connection, clock.now())
    assert (hold.ends_at, hold.reason) == (clock.now() + 6 * HOUR, "a funeral")
    [number] = await planned(pool, clock, channel="customer", target="details", text="")
    await pool.execute(
        "UPDATE deliveries SET state = 'held', hold = $1, reason = $2, next_attempt_at = $3",
        hold.id,
        hold.said,
        hold.ends_at,
    )
    said = plain((await web.client.get("/")).text)
    assert "All customer messages until Fri 6 Mar, 18:00, in 6 hours" in said
    assert "1 message waits." in said
    shown = "customer messages are on hold until Fri 6 Mar, 18:00 (someone on this machine)"
    for path in (f"/messages/{number}", "/messages?state=on_hold", "/coming", "/tasks/london/T1"):
        text = plain((await web.client.get(path)).text)
        assert f"{shown}: a funeral" in text, path
        assert "on hold" in text.lower()
    waiting = plain((await web.client.get("/messages?state=waiting")).text)
    assert "a funeral" not in waiting
    released = await web.client.post(f"/holds/{hold.id}/release", data={"back": "/silences"})
    assert released.headers["location"] == "/silences"
    due = await pool.fetchval("SELECT next_attempt_at FROM deliveries WHERE id = $1", number)
    assert due == clock.now()
    again = await web.client.post(f"/holds/{hold.id}/release", data={})
    assert again.headers["location"] == "/?too_late"
    assert "Hold all customer messages" in (await web.client.get("/")).text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"length": "hour"}, "Reason: say why"),
        ({"reason": "x"}, "Until: say how long"),
        ({"length": "forever", "reason": "x"}, "Until: say how long"),
        ({"length": "hour", "reason": "a\0b"}, "Reason: say why"),
    ],
)
async def test_a_hold_needs_an_end_and_a_reason(
    web: Site, pool: Pool, fields: dict[str, str], says: str
) -> None:
    """Otherwise nothing is held."""
    status, said = await post(web, "/holds", **fields)
    assert (status, says in said) == (400, True)
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
    missing = await web.client.post("/holds/7/release", data={})
    assert missing.headers["location"] == "/?too_late"
    far = await post(web, f"/holds/{'9' * 19}/release")
    assert far[0] == 404


async def test_only_who_is_logged_in_may_silence_or_hold(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Others are led to the login, and nothing is saved."""
    async with site(tmp_path, pool, clock, valkey.url, "s3cret" * 6) as guarded:
        for path in ("/silences", "/silences/preview", "/holds", "/holds/1/release"):
            answer = await guarded.client.post(path, data=ASKED, headers={"accept": "text/html"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/login?ended")
        foreign = {"origin": "https://evil.test", "accept": "text/html"}
        answer = await guarded.client.post("/silences", data=ASKED, headers=foreign)
        assert answer.status_code == 403
        assert (await guarded.client.get("/silences")).headers["location"] == "/login"
    assert await saved(pool) == []


async def test_the_api_makes_a_silence(web: Site) -> None:
    """It begins now, and is answered as it is stored."""
    body = {"rule": "job-done", "reason": "moving", "ends_at": "2026-03-06T14:00:00+01:00"}
    answer = await web.client.post("/api/v1/silences", json=body)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["rule"], made["ends_at"]) == ("job-done", "2026-03-06T13:00:00Z")
    assert made == (await web.client.get(f"/api/v1/silences/{made['id']}")).json()
    assert made["created_by"] == "someone on this machine"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"rule": "job-doen"}, 'knows no rule "job-doen"; did you mean job-done? If you expect it'),
        ({"rule": None, "account": "londn"}, 'no account "londn"; did you mean london?'),
        (
            {"customer": "nobody"},
            'knows no customer "nobody". If you expect it later, add "anyway"',
        ),
        ({"ends_at": "2026-03-06T11:00:00Z"}, "ends_at: it has passed"),
        ({"ends_at": "9999-12-31T23:59:59Z"}, "more than ten years ahead"),
    ],
)
async def test_the_api_refuses_what_cannot_be_now(
    web: Site, pool: Pool, changed: dict[str, Any], says: str
) -> None:
    """A conflict, with the nearest name if there is one: it is well-formed all the same."""
    body = {"rule": "job-done", "reason": "moving", "ends_at": "2026-03-06T14:00:00Z"} | changed
    answer = await web.client.post("/api/v1/silences", json=body)
    assert (answer.status_code, says in answer.json()["detail"]) == (409, True), answer.text
    assert await saved(pool) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"rule": None}, "Say which messages to hide"),
        ({"rule": 7}, "The parameter rule"),
        ({"rule": "a\nb"}, "The parameter rule"),
        ({"reason": " "}, "The parameter reason"),
        ({"reason": 7}, "The parameter reason"),
        ({"ends_at": "2026-03-06T14:00:00"}, "The parameter ends_at"),
        ({"ends_at": 7}, "The parameter ends_at"),
        ({"anyway": "yes"}, "The parameter anyway"),
        ({"from": "now"}, "The parameter from"),
    ],
)
async def test_the_api_refuses_what_makes_no_sense(
    web: Site, pool: Pool, changed: dict[str, Any], says: str
) -> None:
    """It names the field."""
    body = {"rule": "job-done", "reason": "moving", "ends_at": "2026-03-06T14:00:00Z"} | changed
    answer = await web.client.post("/api/v1/silences", json=body)
    assert (answer.status_code, says in answer.json()["detail"]) == (400, True), answer.text
    assert await saved(pool) == []


async def test_the_api_takes_a_name_that_is_still_to_come(web: Site, pool: Pool) -> None:
    """With a word for it."""
    body = {"rule": "coming", "reason": "x", "ends_at": "2026-03-07T00:00:00Z", "anyway": True}
    assert (await web.client.post("/api/v1/silences", json=body)).status_code == 201
    assert [one["rule"] for one in await saved(pool)] == ["coming"]
