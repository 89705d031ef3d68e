"""The Messages screen: its list, what one can ask for, its pages; and the screen of one message."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest

from service.clock import VirtualClock
from service.domain.model import Cause, Customer, Event, Kind, Person, State
from service.store import Pool
from service.store.events import PostgresEvents
from service.store.views import message_search
from service.web.presenters.message_form import STATES
from tests.harness.history import know, plan, record
from tests.harness.site import Site
from tests.harness.tasks import task

HOSTILE = "<script>x</script>\u202e" + "\"'&" * 3000


async def read(web: Site, path: str, status: int = 200) -> str:
    """A page as it reads: no tags, spaces as a browser has them."""
    answer = await web.client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    apart = re.sub(r"</?(td|th|dt|dd|p|li|option)\b[^>]*>", " ", answer.text)
    return " ".join(unescape(re.sub(r"<[^>]*>", "", apart)).split())


def numbers(page: str) -> list[int]:
    """The messages on a list, in its order."""
    return [int(found) for found in re.findall(r'<b><a href="/messages/(\d+)">', page)]


async def ask(web: Site, **asked: str) -> list[int]:
    """The messages that are found."""
    answer = await web.client.get("/messages", params=asked)
    assert answer.status_code == 200
    return numbers(answer.text)


async def test_an_empty_list_says_what_will_be_there(web: Site) -> None:
    """Before anything was planned; and where nothing matches, how to go on."""
    assert "Nothing has been planned or sent yet" in await read(web, "/messages")
    assert "No message was found. Try fewer words" in await read(web, "/messages?q=nobody")


async def test_the_newest_message_comes_first_and_leads_to_its_screen(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Each with its state, receiver and cause; task, rule and account are links."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now(), cause=Cause.WEBHOOK)
    first = await plan(pool, event, State.SENT)
    clock.advance(timedelta(minutes=1))
    second = await plan(
        pool, await record(pool, task("a/b?c"), Kind.OVERDUE, at=clock.now()), State.FAILED
    )
    page = (await web.client.get("/messages")).text
    assert numbers(page) == [second, first]
    for path in ("/tasks/london/T1", "/tasks/london/a%2Fb%3Fc", "/rules/job-done"):
        assert f'href="{path}"' in page
    assert 'href="/messages" aria-current="page"' in page
    assert "Because Smith gutters is done (reported at once, by webhook)" in await read(
        web, "/messages"
    )


async def test_it_is_searched_by_the_words_of_a_task(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """By beginnings of words of title, customer and assignee, or by the task's number."""
    about = task(
        title="Clean the gutters (semi-detached)",
        customer=Customer(name="Ida O'Neill"),
        assignee=Person(name="Bo"),
    )
    await know(pool, about, task("T2", title="Mow"), at=clock.now())
    wanted = await plan(pool, await record(pool, about, Kind.COMPLETED, at=clock.now()))
    other = await plan(pool, await record(pool, task("T2"), Kind.COMPLETED, at=clock.now()))
    for words in ("gutt", "GUTTERS clean", "ida o'neill", "bo", "T1", "  ida   gut ", "semi-det"):
        assert await ask(web, q=words) == [wanted]
    assert await ask(web, q="mow") == [other]
    assert await ask(web, q="utters") == []


async def test_words_of_a_search_are_no_operators(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """The search treats PostgreSQL's query syntax as text."""
    about = task(title="A & B | C")
    await know(pool, about, at=clock.now())
    await plan(pool, await record(pool, about, Kind.COMPLETED, at=clock.now()))
    for words in ("' | 'x", "a & !b", "\\", "'", "(", "x:*", "<->", "a\\'", "&&&", "%_", "😀"):
        assert (await web.client.get("/messages", params={"q": words})).status_code == 200
    assert len(await ask(web, q="a & b")) == 1


async def test_each_filter_narrows_the_list(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Receiver, rule, channel and account; and all at once."""
    plain = await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()))
    field = await record(pool, task(account="field"), Kind.COMPLETED, at=clock.now())
    mail = await plan(pool, field, channel="email", target="Ida@x.test")
    await pool.execute("UPDATE deliveries SET rule = 'other' WHERE id = $1", mail)
    asked = {"to": "ida@X.test", "rule": "other", "channel": "email", "account": "field"}
    for name, value in asked.items():
        assert await ask(web, **{name: value}) == [mail]
    assert await ask(web, **asked, state="waiting") == [mail]
    assert await ask(web, **{**asked, "account": "london"}) == []
    assert await ask(web, to="office") == await ask(web, to="#office") == [plain]


async def test_each_state_can_be_asked_for(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """By its word; on hold and waiting for approval are not just waiting."""
    assert STATES.keys() == message_search.STATES.keys()
    made = {}
    for state in State:
        event = await record(pool, task(), Kind.CHANGED, at=clock.now())
        made[state] = await plan(pool, event, state)
    held = {}
    for name in ("storm = 1", "approver = 'slack:#boss'"):
        event = await record(pool, task(), Kind.CHANGED, at=clock.now())
        held[name] = await plan(pool, event, State.HELD)
        await pool.execute(f"UPDATE deliveries SET {name} WHERE id = $1", held[name])
    waiting = [made[state] for state in (State.PLANNED, State.HELD, State.SENDING)]
    assert sorted(await ask(web, state="waiting")) == sorted(waiting)
    assert await ask(web, state="on_hold") == [held["storm = 1"]]
    assert await ask(web, state="approval") == [held["approver = 'slack:#boss'"]]
    for name in ("sent", "failed", "unknown", "skipped", "cancelled", "expired"):
        assert await ask(web, state=name) == [made[State(name)]]
    page = await read(web, "/messages")
    assert all(said in page for said in STATES.values())


async def test_a_day_is_one_of_the_account(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """What is planned at four in the morning in UTC is of the day before in New York."""
    clock.advance(timedelta(hours=16))
    event = await record(pool, task(account="field"), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event)
    assert await ask(web, day="2026-03-07") == await ask(web, since="2026-03-07") == [number]
    assert await ask(web, day="2026-03-06") == await ask(web, since="2026-03-08") == []
    assert await ask(web, day="2026-03-06", account="field") == [number]
    assert await ask(web, day="2026-03-07", account="field") == []


async def test_pages_lead_to_older_and_newer_ones(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Every message is on one page, in order, forth and back, and the filter stays."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    await plan(pool, event, State.SENT)
    await pool.execute(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            at_most_once, state, created_at, settled_at)
        SELECT 'london', 'T1', event, rule, 'n' || n, 0, 'slack', '#office', 'slack', false, 'sent',
            created_at + n / 7 * interval '1 minute', settled_at
        FROM deliveries, generate_series(1, 59) AS n
        """
    )
    seen, pages, path = [], [], "/messages?channel=slack"
    while path:
        page = (await web.client.get(path)).text
        pages.append(numbers(page))
        seen += pages[-1]
        path = unescape(_linked(page, "next"))
    rows = await pool.fetch("SELECT id FROM deliveries ORDER BY created_at DESC, id DESC")
    assert seen == [row["id"] for row in rows]
    assert [len(one) for one in pages] == [25, 25, 10]
    back = unescape(_linked(page, "prev"))
    assert "channel=slack" in back
    middle = (await web.client.get(back)).text
    assert numbers(middle) == pages[1]
    first = (await web.client.get(unescape(_linked(middle, "prev")))).text
    assert numbers(first) == pages[0]
    assert not _linked(first, "prev")


def _linked(page: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]*)" rel="{rel}">', page)
    return found[1] if found else ""


@pytest.mark.parametrize("asked", [{"channel": "slack", "rule": "rare"}, {"q": "gutters"}])
async def test_a_long_search_says_how_far_it_has_looked(
    web: Site,
    pool: Pool,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, str],
) -> None:
    """Only so many messages are looked at for one page; a link goes on from there."""
    monkeypatch.setattr(message_search, "_WINDOW", 3)
    monkeypatch.setattr(message_search, "_WINDOW_OF_WORDS", 3)
    monkeypatch.setattr(message_search, "_FEW_TASKS", 0)
    await know(pool, task(), task("T2", title="Mow"), at=clock.now())
    found = await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()))
    await pool.execute("UPDATE deliveries SET rule = 'rare'")
    for _ in range(5):
        clock.advance(timedelta(minutes=1))
        event = await record(pool, task("T2"), Kind.COMPLETED, at=clock.now())
        number = await plan(pool, event, channel="email" if "rule" in asked else "slack")
        await pool.execute("UPDATE deliveries SET rule = 'rare' WHERE id = $1", number)
    page = (await web.client.get("/messages", params=asked)).text
    assert numbers(page) == []
    assert "Taskbell has looked back to Fri 6 Mar, 12:03, and found no message like this" in page
    assert "Look further back" in page
    assert numbers((await web.client.get(unescape(_linked(page, "next")))).text) == [found]


async def test_wrong_parameters_are_named_on_the_page(web: Site) -> None:
    """In words, above the form as it was filled in; nothing is searched for."""
    for query, words in (
        ("state=lost", "State: choose one of waiting"),
        ("day=yesterday", "enter a date such as 2026-03-06"),
        ("since=9999-99-99", "enter a date such as 2026-03-06"),
        ("day=9999-12-31", "enter a date such as 2026-03-06"),
        ("older=x", "This link to another page is not complete"),
        ("newer=W10", "This link to another page is not complete"),
        ("older=WzkyMjMzNzIwMzY4NTQ3NzU4MDcsMV0", "This link to another page is not complete"),
        ("q=" + "x" * 300, "Task or customer: at most 200 characters"),
        ("to=a%00b", "Recipient: at most 200 characters on one line"),
        ("colour=red", "The address asks for something that this page does not know"),
    ):
        assert words in await read(web, f"/messages?{query}", 400)
    assert await ask(web, rule="nonesuch", account="nowhere", channel="pigeon") == []


async def test_hostile_text_is_text(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """In every field of a task and a message, in the form, and in the address of a message."""
    customer = Customer(name=HOSTILE)
    about = task(title=HOSTILE, customer=customer, assignee=Person(name=HOSTILE))
    await know(pool, about, at=clock.now())
    event = await record(pool, about, Kind.CHANGED, at=clock.now(), before=task())
    number = await plan(pool, event, State.FAILED, text=HOSTILE, subject=HOSTILE, target='"><b>')
    await pool.execute("UPDATE deliveries SET reason = $1, channel = '<i>x</i>'", HOSTILE)
    await pool.execute("UPDATE events SET changed = '{title,customer}'")
    pages = [
        await web.client.get(path)
        for path in (
            "/messages",
            f"/messages/{number}",
            "/messages?q=%3Cscript%3Ex&to=%22%3E%3Cscript%3Ex&rule=%3Cscript%3Ex",
            "/messages/%3Cscript%3Ex",
        )
    ]
    assert [page.status_code for page in pages] == [200, 200, 200, 404]
    for page in pages:
        assert "<script>x" not in page.text
        assert "<i>x" not in page.text
        assert '"><b>' not in page.text
    assert unescape(pages[1].text).count(HOSTILE) == 3  # text, subject and reason are whole


async def test_a_message_is_whole_and_says_what_is_behind_it(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Text, the change of the task, the road by which it was learnt, the times and attempts."""
    before = task(due=clock.now(), due_is_day=True, assignee=Person(name="Ann"))
    after = replace(before, due=clock.now() + timedelta(days=1), assignee=Person(name="Bo"))
    event = await record(pool, after, Kind.RESCHEDULED, at=clock.now(), before=before)
    await pool.execute("UPDATE events SET changed = '{due,assignee}'")
    text = "Dear Ida, " + "we come later. " * 200
    number = await plan(pool, event, State.SENT, text=text, subject="Later")
    await plan(pool, event, step=1)
    [other] = [one for one in await ask(web) if one != number]
    await pool.execute(
        "UPDATE deliveries SET settled_at = $1, attempts = 2, state = 'sent' WHERE id = $2",
        clock.now() + timedelta(minutes=3),
        number,
    )
    clock.advance(timedelta(minutes=5))
    page = await read(web, f"/messages/{number}")
    assert text.strip() in page
    assert "Smith gutters was rescheduled, found when Taskbell read the system." in page
    assert "due Fri 6 Mar Sat 7 Mar" in page
    assert "assigned to Ann Bo" in page
    assert "Planned Fri 6 Mar, 12:00, 5 minutes ago" in page
    assert "Sent Fri 6 Mar, 12:03, 2 minutes ago" in page
    assert "Attempts 2" in page
    html = (await web.client.get(f"/messages/{number}")).text
    for path in ("/tasks/london/T1", "/rules/job-done", f"/messages/{other}"):
        assert f'href="{path}"' in html
    assert "What you can do" not in html


async def test_a_message_without_a_task_has_its_screen(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """One to the operator, one of a schedule, and one whose event is not stored any more."""
    await pool.execute(
        """
        INSERT INTO deliveries (account, task, rule, once_key, step, channel, target, lane,
            at_most_once, text, state, created_at, settled_at)
        VALUES ('field', '', 'account.failing', 'f', 1, 'slack', '#ops', 'slack', false,
            'field has been failing', 'sent', $1, $1)
        """,
        clock.now(),
    )
    [operator] = await ask(web)
    assert "About the account field itself" in await read(web, f"/messages/{operator}")
    async with pool.acquire() as connection:
        events = PostgresEvents(connection)
        [number] = await events.allot_ids(1)
        came = Event(
            id=number,
            account="london",
            task_id="",
            kind=Kind.SCHEDULED,
            at=clock.now(),
            cause=Cause.CLOCK,
            before=None,
            after=None,
            alarm="30 7 * * 1-5",
        )
        await events.insert([came], "v1", clock.now())
    planned = await plan(pool, came, text="Good morning")
    page = await read(web, f"/messages/{planned}")
    assert "acted at its scheduled time (schedule 30 7 * * 1-5, london)." in page
    old = await plan(pool, await record(pool, task(), Kind.COMPLETED, at=clock.now()))
    await pool.execute("DELETE FROM events")
    assert "What happened to it is no longer stored" in await read(web, f"/messages/{old}")
    assert await read(web, "/messages")


async def test_the_buttons_of_a_message_lead_back_to_it(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """What waits is cancelled with a reason, what is unknown settled; a late press is said."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event)
    here = f"/messages/{number}"
    page = (await web.client.get(here)).text
    assert "Do not send" in page
    assert f'name="back" value="{here}"' in page
    form = {"back": here, "reason": "the customer called"}
    pressed = await web.client.post(f"/deliveries/{number}/cancel", data=form)
    assert pressed.headers["location"] == here
    page = await read(web, here)
    assert "cancelled" in page
    assert "the customer called" in page
    assert "Send it after all" in page
    late = await web.client.post(f"/deliveries/{number}/cancel", data=form)
    assert late.headers["location"] == f"{here}?too_late"
    assert "Someone already handled this" in await read(web, f"{here}?too_late")


async def test_each_state_has_the_buttons_that_fit(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Nothing is offered that would be refused; a customer is written to after a confirmation."""
    approver = "approver = 'slack:#boss', approve_by = now() + interval '1 day'"
    for state, changed, offered in (
        (State.PLANNED, "", ["cancel"]),
        (State.HELD, "", ["cancel"]),
        (State.HELD, "storm = 1", ["cancel"]),
        (State.HELD, approver, ["decline", "approve"]),
        (State.UNKNOWN, "", ["resolve"]),  # one form with two buttons
        (State.FAILED, "", ["cancel", "retry"]),
        (State.FAILED, "acknowledged_at = now()", ["retry"]),
        (State.CANCELLED, "", ["retry"]),
        (State.EXPIRED, "channel = 'customer'", ["retry"]),
        (State.SENT, "", []),
        (State.SKIPPED, "", []),
        (State.SENDING, "", []),
    ):
        event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
        number = await plan(pool, event, state)
        if changed:
            await pool.execute(f"UPDATE deliveries SET {changed} WHERE id = $1", number)
        page = (await web.client.get(f"/messages/{number}")).text
        assert re.findall(rf"/deliveries/{number}/(\w+)", page) == offered
        assert ("Yes, send it to the customer" in page) == ("customer" in changed)


async def test_a_mail_to_a_customer_is_sent_again_after_a_confirmation(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """As a message through the system is, and a combined message that reaches customers."""
    about = task(customer=Customer(name="Ida Smith", email="ida@smith.test"))
    for target, combined, is_asked in (
        ("ida@smith.test", False, True),
        ("bo@firm.test", False, False),
        ("bo@firm.test", True, True),
    ):
        event = await record(pool, about, Kind.COMPLETED, at=clock.now())
        number = await plan(pool, event, State.FAILED, channel="email", target=target)
        if combined:
            await pool.execute("UPDATE deliveries SET tells_of = '{}' WHERE id = $1", number)
        page = (await web.client.get(f"/messages/{number}")).text
        assert ("Yes, send it to the customer" in page) == is_asked


async def test_an_unknown_message_is_a_page_that_says_so(web: Site) -> None:
    """For any address, and with a link to the other messages."""
    for named in ("12", "9" * 19, "9" * 400, "x", "-1", "١٢"):
        page = await read(web, f"/messages/{named}", 404)
        assert "There is no message" in page
        assert "Show all messages" in page
