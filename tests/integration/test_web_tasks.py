"""The tasks on the page: the search, and one task with what happened and why."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from service import config
from service.clock import VirtualClock
from service.domain.model import Cause, Customer, Event, Kind, Person, State
from service.explain import ExplanationStatus
from service.processes.embedded import EmbeddedValkey
from service.store import Pool, decisions
from service.store.decisions import Decision, PostgresDecisions
from service.web import labels
from service.web.presenters import field_changes
from service.web.presenters.explanations import STANDINGS
from tests.harness.history import know, know_of_none, plan, record
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import ANN, BO, SMITH, START, task

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}\u202eevil"
RULES = """
- id: big-jobs
  when: task.completed
  if: [task.type == "job", task.title.contains("gutters")]
  then: [{ notify: accounting }]
- { id: late, when: { task.overdue: 2h }, then: [{ notify: accounting }] }
- { id: off-today, when: task.created, enabled: false, then: [{ notify: accounting }] }
- { id: field-only, when: task.created, accounts: [field], then: [{ notify: accounting }] }
"""


async def page_of(web: Site, path: str, status: int = 200) -> str:
    """The page with its blanks as one space each."""
    answer = await web.client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return " ".join(answer.text.split())


def titles(page: str) -> list[str]:
    """The titles of the tasks that are listed."""
    return re.findall(r'<a href="/tasks/[^"]+"><bdi>(.*?)</bdi>', page)


async def test_without_tasks_the_list_says_what_will_be_there(web: Site) -> None:
    """Nothing was read yet: the page says so, and where the connections are."""
    page = await page_of(web, "/tasks")
    assert "No tasks yet." in page
    assert 'href="/connections"' in page


@pytest.mark.parametrize(
    "text",
    ["gutters", "Gutt", "smith gutters", "müll", "Müller GUTT", "bo", "T-1/7", "ann", "o'brien"],
)
async def test_a_task_is_found_by_what_belongs_to_it(
    web: Site, pool: Pool, clock: VirtualClock, text: str
) -> None:
    """By words of its title and id, and of the names of its customer and people."""
    wanted = task(
        "T-1/7",
        title="Smith O'Brien gutters",
        customer=Customer(name="Frau Müller"),
        assignee=BO,
        assignees=(BO, ANN),
    )
    await know(pool, wanted, task("X9", title="Paint"), at=clock.now())
    page = (await web.client.get("/tasks", params={"q": text})).text
    assert titles(page) == ["Smith O&#39;Brien gutters"]
    assert 'href="/tasks/london/T-1%2F7"' in page


@pytest.mark.parametrize("text", ["gutters paint", "utters", "!!!", "—", "'", "a & | ! <-> (", "7"])
async def test_what_no_task_has_finds_none(
    web: Site, pool: Pool, clock: VirtualClock, text: str
) -> None:
    """Every word has to be there from its beginning; signs alone are no words."""
    await know(pool, task(), task("T2", title="Paint"), at=clock.now())
    answer = await web.client.get("/tasks", params={"q": text})
    assert answer.status_code == 200
    assert titles(answer.text) == []
    assert "No task found." in answer.text


async def test_accounts_and_states_narrow_the_list(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Each state has its tasks; deleted ones are shown only to who asks for them."""
    now = clock.now()
    await know(pool, task("1", title="a"), task("2", title="b", done=True), at=now)
    await know(pool, task("3", "field", title="c"), task("4", title="d", archived=True), at=now)
    await know(pool, task("5", title="e"), at=now, gone=True)
    await know_of_none(pool, ("london", "6"), now)
    for query, expected in {
        "": "abcd",
        "?account=london": "abd",
        "?account=&state=&q=": "abcd",
        "?state=open": "ac",
        "?state=open&account=field": "c",
        "?state=done": "b",
        "?state=archived": "d",
        "?state=deleted": "e",
        "?account=nobody": "",
    }.items():
        assert sorted(titles(await page_of(web, f"/tasks{query}"))) == list(expected), query


async def test_a_task_moves_between_the_states_as_it_changes(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """What is stored anew is found anew: by the new title, in the new state."""
    await know(pool, task(), at=clock.now())
    await know(pool, task(title="Roof", done=True), at=clock.now())
    assert titles(await page_of(web, "/tasks?q=gutters")) == []
    assert titles(await page_of(web, "/tasks?q=roof&state=done")) == ["Roof"]


@pytest.mark.parametrize(("more", "every"), [("", 1), ("&q=smith", 1), ("&q=rare", 2)])
async def test_pages_follow_each_other(
    web: Site,
    pool: Pool,
    clock: VirtualClock,
    more: str,
    every: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last seen come first, each task once, also where many were seen at the same moment.

    It is the same where few of the tasks looked through have the words, and the index is asked.
    """
    monkeypatch.setattr("service.store.views.task_search._LOOKED_THROUGH", 1)
    for minute in range(3):
        clock.advance(timedelta(minutes=1))
        seen_now = [
            task(f"{minute}-{number}", account, title=f"Smith {minute}{word}")
            for number in range(4)
            for account, word in (("london", " rare"), ("field", ""))
        ]
        await know(pool, *seen_now, at=clock.now())
    path, seen, pages = f"/tasks?limit=5{more}", [], 0
    while path:
        page = await page_of(web, path)
        seen += re.findall(r'<a href="(/tasks/[^"]+)"><bdi>Smith (\d)', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") + "&limit=5" if following else ""
        pages += 1
    assert pages == -(-24 // every // 5)
    assert len(set(seen)) == len(seen) == 24 // every
    assert [minute for _, minute in seen] == [m for m in "210" for _ in range(8 // every)]


@pytest.mark.parametrize(
    "query",
    [
        "state=sideways",
        "limit=0",
        "limit=many",
        "cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDcsImEiLCJiIl0",  # a moment after the end of time
        f"q={'x' * 3000}",
        "q=%00",
    ],
)
async def test_a_wrong_parameter_is_a_page_that_names_it(web: Site, query: str) -> None:
    """In plain words, with a way back; it is no failure of ours."""
    page = await page_of(web, f"/tasks?{query}", status=400)
    assert f"The parameter {query.partition('=')[0]}: expected" in page
    assert 'href="/tasks"' in page


@pytest.mark.parametrize("cursor", ["x", "WzEsMl0"])
async def test_a_page_of_the_list_that_does_not_exist(web: Site, cursor: str) -> None:
    """It is said in words, with the way back to the first page."""
    page = await page_of(web, f"/tasks?cursor={cursor}", status=400)
    assert "This page of the list does not exist; start with the first" in page
    assert 'href="/tasks"' in page


async def test_unknown_parameters_are_passed_over(web: Site) -> None:
    """Such as what a button leads back with."""
    await page_of(web, "/tasks?too_late&utm_source=mail")


async def test_hostile_text_is_text(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """In the list, on the task's page with its events and rules, and in the search field."""
    nasty: dict[str, Any] = {
        "title": HOSTILE,
        "customer": Customer(name=HOSTILE),
        "assignee": Person(name=HOSTILE),
        "description": HOSTILE * 100,
        "tags": (HOSTILE,),
        "fields": {HOSTILE: HOSTILE},
        "url": "javascript:alert(1)",
        "status": HOSTILE,
    }
    before, after = task(HOSTILE, **nasty), task(HOSTILE, **nasty | {"status": "x" * 10_000})
    await know(pool, after, at=clock.now())
    event = await record(pool, after, Kind.CHANGED, at=clock.now(), before=before)
    await pool.execute("UPDATE events SET changed = '{status,fields}'")
    await plan(pool, event, State.FAILED, text=HOSTILE)
    listed = await web.client.get("/tasks", params={"q": HOSTILE})
    [link] = re.findall(r'href="(/tasks/[^"?]+)"', listed.text)
    shown = await web.client.get(link)
    unknown = await web.client.get(f"{link}x")
    assert (listed.status_code, shown.status_code, unknown.status_code) == (200, 200, 404)
    for page in (listed.text, shown.text, unknown.text):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "javascript:" not in page
        assert "&lt;script&gt;" in page
        assert "49" not in re.findall(r"\{\{.*?\}\}|49", page)
    assert "x" * 1_001 not in shown.text


async def test_a_task_shows_how_it_stands(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Its fields in words, its dates in the zone of its account, a link into its system."""
    await know(
        pool,
        task(
            account="field",
            customer=SMITH,
            assignee=BO,
            due=START,
            start=START,
            start_is_day=True,
            tags=("roof", "urgent"),
            url="https://example.test/t/1",
            fields={"renewal": True},
        ),
        at=clock.now(),
    )
    page = await page_of(web, "/tasks/field/T1")
    assert "<bdi>Smith gutters</bdi></h1>" in page
    assert "Times: America/New_York." in page
    for name, text in {
        "customer": '<a href="/messages?q=Smith">Smith</a>',
        "assigned to": '<a href="/tasks?q=Bo">Bo</a>',
        "due": "Fri 6 Mar, 07:00 (New York)",
        "starts": "Fri 6 Mar",
        "tags": "roof, urgent",
        "renewal": "yes",
    }.items():
        assert f"<dt>{name}</dt><dd><bdi>{text}</bdi></dd>" in page
    assert '<a href="https://example.test/t/1" rel="noopener noreferrer">Open in Plannr</a>' in page
    assert "Nothing has happened to this task" in page
    assert "No messages about this task." in page
    assert re.search(r'<span class="state planned">open</span>', page)


async def test_a_deleted_task_shows_what_was_last_seen(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """It says since when; of one that was never seen, that there is no such task."""
    await know(pool, task(), at=clock.now(), gone=True)
    await know_of_none(pool, ("london", "T2"), clock.now())
    assert "Deleted Fri 6 Mar, 12:00. Below is what Taskbell last saw." in await page_of(
        web, "/tasks/london/T1"
    )
    assert "The system says that there is no such task" in await page_of(web, "/tasks/london/T2")


@pytest.mark.parametrize(
    "path", ["london/nope", "nowhere/T1", "london/%00", "london/a/b", "london/%ff"]
)
async def test_an_unknown_task_is_a_page_that_says_so(web: Site, path: str) -> None:
    """With a way to the search."""
    answer = await web.client.get(f"/tasks/{path}")
    assert answer.status_code == 404
    assert "Taskbell does not know this task." in answer.text
    assert 'href="/tasks"' in answer.text


async def test_the_timeline_tells_each_change(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """The latest first: what happened, when, by which road, and each field before and after."""
    moved = task(due=START, assignee=BO)
    changed = task(due=START + timedelta(days=1), assignee=ANN)
    await know(pool, changed, at=clock.now())
    await record(pool, moved, Kind.CREATED, at=clock.now(), cause=Cause.WEBHOOK)
    clock.advance(timedelta(hours=1))
    event = await record(pool, changed, Kind.RESCHEDULED, at=clock.now(), before=moved)
    await pool.execute("UPDATE events SET changed = '{due,assignee}' WHERE id = $1", event.id)
    page = await page_of(web, "/tasks/london/T1")
    happened = page[page.index("What happened") :]
    assert "due: <bdi>Fri 6 Mar, 12:00</bdi> → <bdi>Sat 7 Mar, 12:00</bdi>" in happened
    assert "assigned to: <bdi>Bo</bdi> → <bdi>Ann</bdi>" in happened
    parts = (
        "Rescheduled</b>",
        "found when Taskbell read the system",
        "13:00",
        "Created</b>",
        "by webhook",
    )
    assert sorted(parts, key=happened.index) == list(parts)


async def test_messages_of_the_task_are_links(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """The newest first, each with its state and its own screen; of other tasks there are none."""
    await know(pool, task(), at=clock.now())
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    sent = await plan(pool, event, State.SENT)
    other = await plan(pool, await record(pool, task("T2"), Kind.COMPLETED, at=clock.now()))
    page = await page_of(web, "/tasks/london/T1")
    assert f'<a href="/messages/{sent}">' in page
    assert f"/messages/{other}" not in page
    assert "#office" in page


async def test_each_rule_says_why_it_acted_or_did_not(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Also those that did not: with the values of their conditions, and when they come next."""
    settings = configured(tmp_path, RULES)
    now = clock.now()
    async with serving(settings, pool, clock, valkey.url) as web:
        known = task(type="visit", due=now + timedelta(days=1))
        await know(pool, known, at=now)
        event = await decided(pool, settings, await record(pool, known, Kind.COMPLETED, at=now))
        page = await page_of(web, "/tasks/london/T1")
    cards = {
        re.search(r"<b>(.*?)</b></summary>", card)[1]: card  # type: ignore[index]
        for card in re.findall(r'<details class="card".*?</details>', page)
    }
    assert set(cards) == {"job-done", "big-jobs", "late", "off-today", "field-only"}
    assert ">acted</span>" in cards["job-done"]
    assert "<p>The task is done.</p>" in cards["job-done"]
    assert f'href="#event-{event.id}"' in cards["job-done"]
    assert ">did not act</span>" in cards["big-jobs"]
    assert "The task is done, but not all conditions of the rule were met." in cards["big-jobs"]
    assert "<code>task.type == &#34;job&#34;</code> <b>no</b>" in cards["big-jobs"]
    assert "<code>task.type</code> <b>&#34;visit&#34;</b>" in cards["big-jobs"]
    assert "<b>not checked</b>" in cards["big-jobs"]
    assert "Acts Sat 7 Mar 2026, 14:00" in cards["late"]
    assert ">off</span>" in cards["off-today"]
    assert "The rule is only for field." in cards["field-only"]
    assert next(iter(cards)) == "job-done"


async def test_rules_that_cannot_be_read_any_more_do_not_hide_the_task(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """The rule of today stands in for one whose text is of another language."""
    settings = configured(tmp_path, RULES)
    async with serving(settings, pool, clock, valkey.url) as web:
        await know(pool, task(), at=clock.now())
        event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
        await pool.execute("UPDATE events SET rules_version = 'old'")
        await decisions.keep_rules(pool, "old", '{"rules": [{"id": 7}]}', clock.now())
        page = await page_of(web, "/tasks/london/T1")
    assert f"event-{event.id}" in page
    assert "big-jobs" in page


@pytest.mark.parametrize(
    ("url", "is_link"),
    [
        ("https://app.kickserv.com/acme/tasks/1", True),
        ("javascript:alert(1)", False),
        ("data:text/html,<script>alert(1)</script>", False),
        ("//evil.test/1", False),
        ('https://x.test/"onclick="alert(1)', True),
        (None, False),
    ],
)
async def test_a_task_opens_in_its_system(
    web: Site, pool: Pool, clock: VirtualClock, url: str | None, *, is_link: bool
) -> None:
    """Only a web address is a link, on the task and on a message about it."""
    about = task("T1", "field", system="kickserv", url=url)
    await know(pool, about, at=clock.now())
    number = await plan(pool, await record(pool, about, Kind.COMPLETED, at=clock.now()))
    for path in ("/tasks/field/T1", f"/messages/{number}"):
        page = await page_of(web, path)
        links = re.findall(
            r'<a href="([^"]*)" rel="noopener noreferrer">Open in Kickserv</a>', page
        )
        assert links == ([escape(url or "")] if is_link else []), path
        assert "alert(1)</script>" not in page


async def decided(pool: Pool, settings: config.Config, event: Event) -> Event:
    """The rules in force decided on the event, and `job-done` matched."""
    rules, now = settings.rules, event.at
    await decisions.keep_rules(pool, rules.version, rules.text, now)
    await pool.execute("UPDATE events SET rules_version = $1", rules.version)
    made: list[Any] = [Decision(event.id, "job-done", "matched", "all conditions hold")]
    async with pool.acquire() as connection:
        await PostgresDecisions(connection).insert(made, rules.version, now)
    return event


def test_everything_has_words() -> None:
    """Each kind of event and each standing of a rule has its words, each field of a task too."""
    assert set(labels.MILESTONES) == set(Kind)
    assert set(STANDINGS) == set(ExplanationStatus)
    dates = {"due_is_day", "start_is_day", "end_is_day", "completed_at_is_day"}
    own = {"id", "account", "system", "fields", "revision"}
    assert {*task().__slots__} - dates - own <= set(field_changes.FIELDS)
