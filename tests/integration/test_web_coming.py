"""Coming up: what is planned, what would come if nothing changes, and the calendar of both."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from icalendar import Calendar

from service.channels import ways
from service.clock import VirtualClock
from service.config import Config
from service.domain.model import Cause, Kind, Observation, State, Task
from service.engine import Engine
from service.engine.decider import Decider
from service.engine.postgres import PostgresTransaction
from service.processes.embedded import EmbeddedValkey
from service.simulator import Simulator, foresight
from service.simulator.memory.deliveries import Delivery
from service.simulator.upcoming import in_order, upcoming
from service.store import Pool
from service.web.presenters import forecast
from tests.harness.history import plan, record
from tests.harness.site import Site, configured, serving, site
from tests.harness.tasks import SMITH, task

HOUR = timedelta(hours=1)
RULES = """
- id: is-late
  when: task.overdue
  then: [{ notify: accounting, text: "{{ task.title }} is late" }]
- id: hurry
  when: { task.due_soon: 1h }
  once_per: [task.id]
  then: [{ notify: accounting, text: "hurry up with {{ task.title }}" }]
- id: quiet
  when: task.rescheduled
  settle: 30m
  then: [{ notify: accounting, text: "{{ task.title }} is settled" }]
- id: still-high
  when: task.changed
  accounts: [london]
  if: task.priority == "high"
  for: 2h
  then: [{ notify: accounting, text: "{{ task.title }} is still high" }]
- id: together
  when: task.created
  accounts: [london]
  group: { by: task.priority, wait: 3h }
  then: [{ notify: accounting, text: "{{ group.size }} new" }]
- id: each-evening
  when: { schedule: "0 18 * * *" }
  accounts: [london]
  for_each: tasks.filter(t, !t.done)
  then: [{ notify: accounting, text: "{{ task.title }} is open" }]
- id: later
  when: task.completed
  then: [{ wait: 4h }, { notify: accounting, text: "{{ task.title }} was done" }]
"""


@dataclass(frozen=True, slots=True)
class Firm:
    """A site with `RULES`, and an engine that observes tasks for it."""

    web: Site
    pool: Pool
    clock: VirtualClock
    config: Config

    async def observes(self, *seen: Task) -> None:
        """A poll shows these tasks."""
        config, now = self.config, self.clock.now()
        decider = Decider(config.rules, config.zones, ways(config.kinds))
        engine = Engine(decider, config.zones, self.clock)
        looks = [Observation(one.account, one.id, one, now, Cause.POLL) for one in seen]
        async with self.pool.acquire() as connection, connection.transaction():
            await engine.observe(PostgresTransaction(connection), looks)

    async def shows(self, query: str = "?within=7d") -> str:
        """The screen's text, with all white space as one space."""
        answer = await self.web.client.get(f"/coming{query}")
        assert answer.status_code == 200
        return " ".join(unescape(answer.text).split())

    async def foresees(self, ahead: timedelta = timedelta(days=7)) -> list[Delivery]:
        """What the screen is made of."""
        setting = foresight.Setting(self.config.rules, self.config.zones, ways(self.config.kinds))
        now = self.clock.now()
        found = await foresight.foresee(setting, self.pool, now, now + ahead, lambda: True)
        return in_order(found.deliveries)


@asynccontextmanager
async def at_work(
    folder: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey, rules: str
) -> AsyncIterator[Firm]:
    """A firm with these rules, whose accounts have been read before."""
    config = configured(folder, rules)
    async with serving(config, pool, clock, valkey.url) as running:
        await pool.execute("UPDATE accounts SET baseline_at = $1", clock.now())
        yield Firm(running, pool, clock, config)


@pytest.fixture
async def firm(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Firm]:
    async with at_work(tmp_path, pool, clock, valkey, RULES) as running:
        yield running


async def test_where_nothing_comes_it_says_so(web: Site) -> None:
    """An empty list is a sentence, and the navigation and Today lead to the screen."""
    page = (await web.client.get("/coming")).text
    assert "Nothing will be sent in the next 24 hours unless something changes" in page
    assert (
        "Nothing will be sent in the next 7 days"
        in (await web.client.get("/coming?within=7d")).text
    )
    assert '<a href="/coming" aria-current="page">Coming up</a>' in page
    assert '<a href="/coming">Coming up</a>' in (await web.client.get("/")).text


async def test_what_is_planned_has_its_hour_task_rule_and_button(firm: Firm) -> None:
    """It stands under day and hour, in its account's time, with its rule and links to the rest."""
    event = await record(
        firm.pool, task(account="field", customer=SMITH), Kind.COMPLETED, at=firm.clock.now()
    )
    at = firm.clock.now() + 2 * HOUR
    number = await plan(firm.pool, event, State.HELD, send_at=at, reason="outside its hours")
    page = await firm.shows("")
    assert "<h2>Today, Friday 6 March</h2> <h3>14:00</h3>" in page
    assert "Fri 6 Mar, 09:00 (New York), in 2 hours" in page
    assert f'<a href="/messages/{number}"><b>slack #office</b></a>' in page
    assert '<a href="/tasks/field/T1"><b>Smith gutters</b></a> for <a href' in page
    assert 'by rule <a href="/rules/job-done">job-done</a>' in page
    assert '<span class="state held">waiting</span>' in page
    assert "outside its hours" in page
    assert "On hold" not in page


async def test_do_not_send_cancels_and_leads_back(firm: Firm) -> None:
    """The button of a planned message cancels it; the list shows that at once."""
    event = await record(firm.pool, task(), Kind.COMPLETED, at=firm.clock.now())
    number = await plan(firm.pool, event, State.PLANNED, send_at=firm.clock.now() + HOUR)
    page = await firm.shows()
    assert f'action="/deliveries/{number}/cancel"' in page
    assert 'name="back" value="/coming?within=7d"' in page
    answer = await firm.web.client.post(
        f"/deliveries/{number}/cancel", data={"back": "/coming?within=7d"}
    )
    assert answer.headers["location"] == "/coming?within=7d"
    assert f"/messages/{number}" not in await firm.shows()
    late = await firm.web.client.post(f"/deliveries/{number}/cancel", data={"back": "/coming"})
    assert "already handled this" in await firm.shows(late.headers["location"][7:])


async def test_each_says_by_what_it_comes(firm: Firm) -> None:
    """Alarm, settle, for, group, schedule: what is not planned yet says what it waits for."""
    now = firm.clock.now()
    await firm.observes(
        task("T1", due=now + 5 * HOUR, title="Due one"),
        task("T2", start=now + 40 * HOUR, title="Moved one"),
        task("T3", priority="low", title="High one"),
        task("T4", title="Done one"),
    )
    firm.clock.advance(timedelta(minutes=5))
    await firm.observes(
        task("T2", start=now + 41 * HOUR, title="Moved one"),
        task("T3", priority="high", title="High one"),
        task("T4", done=True, title="Done one"),
    )
    page = await firm.shows("?within=24h")
    for text, how in (
        ("Due one is late", "When the task is overdue."),
        ("hurry up with Due one", "When the task is due soon."),
        (
            "Moved one is settled",
            "Waiting until the task has not changed for 30 minutes (settle).",
        ),
        (
            "High one is still high",
            "Waiting to see whether the condition stays true for 2 hours (for).",
        ),
        ("3 new", "A combined message: tasks are collected for it until then (group)."),
        ("High one is open", "On a schedule (0 18 * * *)."),
    ):
        assert re.search(
            rf'<li class="card expected">(?:(?!</li>).)*{re.escape(text)}(?:(?!</li>).)*'
            rf"{re.escape(how)}",
            page,
        ), text
    assert "Done one was done" in page  # planned by its wait, with a button
    assert page.count("Do not send") == 2  # of that and of job-done
    assert "Done one is open" not in page


async def test_what_was_told_before_is_not_foretold(firm: Firm) -> None:
    """Of once_per: a message that was sent is not expected again; the rest comes as ever."""
    now = firm.clock.now()
    await firm.observes(task("T1", due=now + 5 * HOUR), task("T2", due=now + 6 * HOUR))
    assert (await firm.shows("")).count("hurry up with") == 2
    event = await record(firm.pool, task("T1"), Kind.DUE_SOON, at=now)
    [one] = [
        one
        for one in await firm.foresees()
        if one.request.rule == "hurry" and one.request.event.task_id == "T1"
    ]
    same = one.request.plan
    await plan(
        firm.pool,
        event,
        State.SENT,
        once_key=same.once_key,
        step=same.step,
        channel=same.channel,
        target=same.target,
    )
    await firm.pool.execute("UPDATE deliveries SET rule = 'hurry'")
    again = [
        one.request.event.task_id for one in await firm.foresees() if one.request.rule == "hurry"
    ]
    assert again == ["T2"]


async def test_the_screen_knows_what_the_command_knows(firm: Firm) -> None:
    """`taskbell next` reads every task, the screen only those to which something happens."""
    now = firm.clock.now()
    await firm.observes(
        *(task(f"T{n}", due=now + n * HOUR, priority="high") for n in range(1, 60, 5)),
        *(task(f"D{n}", account="field", start=now + n * HOUR) for n in range(1, 300, 50)),
    )
    for days in (1, 7):
        until = now + timedelta(days=days)
        config = firm.config
        async with firm.pool.acquire() as connection, connection.transaction():
            simulator = Simulator(config.rules, config.zones, ways(config.kinds), now)
            told = await upcoming(simulator, connection, until)
        shown = await firm.foresees(timedelta(days=days))
        assert len(told) > 10
        assert sorted(map(_essence, shown)) == sorted(map(_essence, told))


def _essence(one: Delivery) -> tuple[str, str, str, str, str]:
    event = one.request.event
    return str(one.settled_at), one.request.rule, event.account, event.task_id, one.text


async def test_without_schedules_that_choose_only_what_is_due_is_read(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Alarms, waits, digests and planned messages come to the same as if all tasks were read."""
    rules = RULES.replace("- id: each-evening", "- id: each-evening\n  enabled: false")
    async with at_work(tmp_path, pool, clock, valkey, rules) as firm:
        now = clock.now()
        await firm.observes(
            *(task(f"T{n}", due=now + n * HOUR, priority="high") for n in range(1, 900, 50)),
            task("T0", start=now + 900 * HOUR),
        )
        clock.advance(timedelta(minutes=5))
        await firm.observes(task("T0", start=now + 901 * HOUR))
        await firm.pool.execute("UPDATE tasks SET watch = 'another' WHERE id = 'T51'")
        await firm.pool.execute("DELETE FROM digest_members WHERE task = 'T51'")
        async with pool.acquire() as connection, connection.transaction():
            config = firm.config
            simulator = Simulator(config.rules, config.zones, ways(config.kinds), clock.now())
            told = await upcoming(simulator, connection, clock.now() + timedelta(days=7))
        shown = await firm.foresees()
        assert {"quiet", "together", "hurry", "is-late"} <= {one.request.rule for one in shown}
        assert list(map(_essence, shown)) == list(map(_essence, told))


async def test_what_will_not_be_sent_after_all_says_why(firm: Firm) -> None:
    """A planned message that the simulation sees end otherwise is not promised."""
    event = await record(firm.pool, task(), Kind.COMPLETED, at=firm.clock.now())
    at = firm.clock.now() + 2 * HOUR
    await plan(firm.pool, event, State.PLANNED, send_at=at, expires_at=at - HOUR)
    assert "As things are now, it will not be sent. Reason:" in await firm.shows()


async def test_what_waits_for_a_person_is_apart(firm: Firm) -> None:
    """A message to be approved is no part of what comes by itself."""
    event = await record(firm.pool, task(), Kind.COMPLETED, at=firm.clock.now())
    number = await plan(firm.pool, event, State.HELD, send_at=firm.clock.now() + HOUR)
    await firm.pool.execute("UPDATE deliveries SET approver = 'slack:@bo'")
    page = await firm.shows()
    assert "On hold until someone decides" in page
    assert f'action="/deliveries/{number}/approve"' in page
    assert f"/deliveries/{number}/cancel" not in page


async def test_foreign_text_stays_text(firm: Firm) -> None:
    """Markup, marks of direction and ten thousand characters are text, planned or expected."""
    evil = "<script>x</script>\u202e" + "long " * 2_000
    evil_task = task('"><b>/?', title=evil, due=firm.clock.now() + 2 * HOUR)
    await firm.observes(evil_task)
    event = await record(firm.pool, evil_task, Kind.CREATED, at=firm.clock.now())
    await plan(
        firm.pool,
        event,
        State.HELD,
        text=evil,
        target="<i>",
        reason=evil,
        subject=evil,
        send_at=firm.clock.now() + HOUR,
    )
    answer = await firm.web.client.get("/coming")
    assert "<script>x" not in answer.text
    assert "<i>" not in answer.text
    assert answer.text.count("&lt;script&gt;x") >= 4
    assert "/tasks/london/%22%3E%3Cb%3E%2F%3F" in answer.text
    assert len(answer.text) < 40_000
    assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_long_lists_have_pages(firm: Firm) -> None:
    """Fifty messages a page, in order; planned and expected together, each once."""
    now = firm.clock.now()
    tasks = [task(f"T{n}", due=now + n * timedelta(minutes=7)) for n in range(1, 40)]
    await firm.observes(*tasks)
    for n in range(150):
        event = await record(firm.pool, task(f"P{n}"), Kind.COMPLETED, at=now)
        await plan(firm.pool, event, send_at=now + timedelta(minutes=n % 5 * 9), text=f"plan {n}.")
    pages, query = list[str](), "?within=24h"
    while query:
        pages.append(await firm.shows(query))
        found = re.search(r'rel="next" href="/coming(\?[^"]*)"', pages[-1])
        query = found[1] if found else ""
    assert len(pages) > 2
    moments = [re.findall(r'<time datetime="([^"]+)"', page) for page in pages]
    assert [len(one) for one in moments[:-1]] == [50] * (len(pages) - 1)
    everything = [datetime.fromisoformat(at) for page in moments for at in page]
    assert everything == sorted(everything)
    whole = " ".join(pages)
    assert all(whole.count(f">plan {n}.<") == 1 for n in range(150))
    assert "Back to the first" in pages[1]


@pytest.mark.parametrize(
    "query",
    [
        "?within=1y",
        "?cursor=x",
        "?cursor=WyJ4IiwwLDFd",
        "?cursor=%00",
        "?foo=1",
        "?cursor=WyIyMDI2LTAzLTA2VDEyOjAwIiwwLCJ4Il0",
        "?cursor=e30",
        "?cursor=W1tdLDAsMV0",
    ],
)
async def test_wrong_parameters_give_a_page(web: Site, query: str) -> None:
    """For any parameter, the answer is a page in plain words."""
    answer = await web.client.get(f"/coming{query}", headers={"accept": "text/html"})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "Open the Taskbell page" in answer.text


async def test_what_could_not_be_worked_out_is_said(
    firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time is over, the page says up to when it knows what may come."""
    await firm.observes(task("T1", due=firm.clock.now() + 5 * HOUR))
    monkeypatch.setattr(forecast, "LIMIT", 0.0)
    page = await firm.shows()
    assert "There is too much to calculate: after Fri 6 Mar, 12:00" in page
    assert "is late" not in page


async def test_too_many_tasks_are_said(firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first tasks are read, and the page says until when that is everything."""
    now = firm.clock.now()
    await firm.observes(*(task(f"T{n}", due=now + n * 5 * HOUR) for n in range(1, 5)))
    await firm.pool.execute("DELETE FROM digests")
    monkeypatch.setattr(foresight, "MOST_TASKS", 2)
    monkeypatch.setattr(foresight, "MOST_TO_CHOOSE", 2)
    page = await firm.shows()
    assert "after Fri 6 Mar, 21:00" in page
    assert "There are too many tasks to calculate what these rules will send" in page
    assert '<a href="/rules/each-evening">each-evening</a>.' in page
    assert page.count("is late") == 1


async def test_it_is_computed_once_and_kept(firm: Firm) -> None:
    """For some seconds the same is shown, with the moment; then it is computed anew."""
    assert "is late" not in await firm.shows()
    await firm.observes(task("T1", due=firm.clock.now() + 5 * HOUR))
    firm.clock.advance(timedelta(seconds=5))
    assert "is late" not in await firm.shows()
    firm.clock.advance(timedelta(hours=1))
    for _ in range(50):
        if "is late" in (page := await firm.shows()):
            break
        await asyncio.sleep(0.05)
    assert "is late" in page
    assert "Calculated just now (Fri 6 Mar, 13:00)" in page


async def test_the_calendar_has_what_the_screen_has(firm: Firm) -> None:
    """An event for each message, in UTC, folded and escaped as RFC 5545 says, with stable UIDs."""
    now = firm.clock.now()
    await firm.observes(
        task("T1", due=now + 5 * HOUR, title="Roof, wall; \\ ünïcödé → " * 9 + "\x07\r\nEND:VEVENT")
    )
    answer = await firm.web.client.get("/coming.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))
    assert answer.content.count(b"\n") == answer.content.count(b"\r\n")
    lines = answer.content.decode().replace("\r\n ", "").split("\r\n")
    assert lines.count("END:VEVENT") == lines.count("BEGIN:VEVENT") > 5
    assert f"DTSTART:{now + 5 * HOUR:%Y%m%dT%H%M%SZ}" in lines
    assert any(line.startswith("SUMMARY:Roof\\, wall\\; \\\\ ünïcödé") for line in lines)
    assert f"URL:http://127.0.0.1:{firm.web.port}/tasks/london/T1" in lines
    assert "\x07" not in answer.text
    assert {"REFRESH-INTERVAL;VALUE=DURATION:PT15M", "X-PUBLISHED-TTL:PT15M"} <= set(lines)
    calendar = Calendar.from_ical(answer.content)
    assert (calendar.calendar_name, calendar.errors) == ("Taskbell: coming up", [])
    assert len({one.uid for one in calendar.events}) == lines.count("BEGIN:VEVENT")
    assert {one.duration for one in calendar.events} == {timedelta(minutes=15)}


async def test_an_event_of_the_calendar_keeps_its_uid(firm: Firm) -> None:
    """Computed again after other things have happened, and once the message is planned."""
    now = firm.clock.now()
    await firm.observes(task("T1", due=now + 5 * HOUR))
    before = _uids(await _calendar(firm), "is late")
    firm.clock.advance(HOUR)
    await firm.observes(task("T2"), task("T3", account="field"))
    await asyncio.sleep(0.3)
    await firm.web.client.get("/coming.ics")
    assert _uids(await _calendar(firm), "is late") == before
    event = await record(firm.pool, task("T1"), Kind.OVERDUE, at=now + 5 * HOUR, cause=Cause.CLOCK)
    number = await plan(firm.pool, event, channel="accounting", target="", text="T1 is late")
    await firm.pool.execute("UPDATE deliveries SET rule = 'is-late' WHERE id = $1", number)
    assert before < _uids(await _calendar(firm), "is late")  # -2, as it is foretold as well


async def _calendar(firm: Firm) -> str:
    answer = await firm.web.client.get("/coming.ics")
    return answer.content.decode().replace("\r\n ", "")


def _uids(text: str, what: str) -> set[str]:
    events = text.split("BEGIN:VEVENT")[1:]
    found = (re.search("UID:([0-9a-f]+(?:-2)?)", one) for one in events if what in one)
    return {one[1] for one in found if one}


async def test_the_calendar_has_a_secret_address(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """With a token, the page shows the address to whoever is signed in, and nothing else opens."""
    token = "s3cret-of-the-page"
    async with site(
        tmp_path, pool, clock, valkey.url, token=token, TASKBELL_URL="https://bell.test/tb"
    ) as web:
        headers = {"authorization": f"Bearer {token}"}
        page = (await web.client.get("/tb/coming", headers=headers)).text
        found = re.search(r"https://bell\.test(/tb/coming\.ics\?key=[0-9a-f]{64})", page)
        assert found
        assert token not in page
        assert (await web.client.get(found[1])).text.startswith("BEGIN:VCALENDAR")
        for wrong in ("/tb/coming.ics", "/tb/coming.ics?key=", f"{found[1]}0"):
            assert (await web.client.get(wrong)).status_code == 403
        refused = await web.client.get("/tb/coming.ics", headers={"accept": "text/html"})
        assert "Copy it again from the Taskbell page" in refused.text
        assert (await web.client.get("/tb/coming")).headers["location"] == "/tb/login"


async def test_a_stranger_cannot_read_the_calendar(web: Site) -> None:
    """Without a token it is open to this machine only."""
    answer = await web.client.get("/coming.ics", headers={"host": "evil.example"})
    assert answer.status_code == 403


async def test_the_loop_goes_on_while_it_is_computed(firm: Firm) -> None:
    """Others are answered meanwhile, at once."""
    now = firm.clock.now()
    await firm.observes(*(task(f"T{n}", due=now + n * timedelta(minutes=1)) for n in range(1500)))
    computing = asyncio.create_task(firm.shows())
    answered = 0
    while not computing.done():
        assert (await firm.web.client.get("/healthz")).status_code == 200
        answered += 1
    await computing
    assert answered > 5  # two, if the loop is held up
