"""What the API works out: what comes next, why rules acted, and which tasks have a word."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.model import Customer, Kind, State
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.history import know, plan, record
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import BO, SMITH, task

HOUR = timedelta(hours=1)
HOSTILE = "\x1b[2J\u202e<script>alert(1)</script>"
RULES = """
- id: urgent
  when: task.completed
  if: task.priority == "high"
  then: [{ notify: accounting, text: "urgent" }]
"""


@pytest.fixture
async def web(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with serving(configured(tmp_path, RULES), pool, clock, valkey.url) as running:
        await pool.execute("UPDATE accounts SET baseline_at = $1", clock.now())
        yield running


async def get(web: Site, path: str, status: int = 200, **asked: Any) -> Any:
    answer = await web.client.get(f"/api/v1/{path}", params=asked)
    assert answer.status_code == status, answer.text
    kind = "application/json" if status == 200 else "application/problem+json"
    assert answer.headers["content-type"] == kind
    return answer.json()


async def planned(pool: Pool, clock: VirtualClock, *hours: int) -> None:
    """Messages that go out so many hours from now, each about another task."""
    for one in hours:
        about = task(f"T{one}")
        await know(pool, about, at=clock.now())
        event = await record(pool, about, Kind.COMPLETED, at=clock.now())
        at = clock.now() + one * HOUR
        await plan(pool, event, State.PLANNED, send_at=at, text=f"in {one} hours")


async def test_next_tells_what_will_be_sent_in_its_order(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """It has the fields of `taskbell next --json`; `within` says how far ahead."""
    await planned(pool, clock, 3, 1, 30)
    page = await get(web, "next")
    assert page["data"][0] == {
        "at": "2026-03-06T13:00:00Z",
        "account": "london",
        "task": "T1",
        "rule": "job-done",
        "to": "slack:#office",
        "text": "in 1 hours",
    }
    assert [one["task"] for one in page["data"]] == ["T1", "T3"]
    assert (page["next"], page["until"]) == (None, "2026-03-07T12:00:00Z")
    week = await get(web, "next", within="7d")
    assert [one["task"] for one in week["data"]] == ["T1", "T3", "T30"]


async def test_pages_of_next_follow_each_other(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Every message is on one page, also those of the same moment."""
    await planned(pool, clock, 1, 2)
    await pool.execute("UPDATE deliveries SET next_attempt_at = $1", clock.now() + HOUR)
    await planned(pool, clock, 4)
    seen, asked = list[str](), dict[str, Any]()
    while True:
        page = await get(web, "next", limit=1, **asked)
        seen += [one["task"] for one in page["data"]]
        if page["next"] is None:
            break
        asked = {"cursor": page["next"]}
    assert seen == ["T1", "T2", "T4"]


@pytest.mark.parametrize(
    "within", ["8d", "0h", "soon", "-1h", "2 business days", "", "9" * 500 + "d"]
)
async def test_a_wrong_length_says_what_to_write(web: Site, within: str) -> None:
    """It names the parameter and the longest that there is."""
    said = await get(web, "next", 400, within=within)
    assert (said["parameter"], "up to 7d, such as 24h" in said["detail"]) == ("within", True)


async def test_explain_tells_why_each_rule_acted(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """It has the fields of `taskbell explain --json`, with the values of the conditions."""
    await know(pool, task("T1", priority="low", done=True), at=clock.now())
    event = await record(
        pool, task("T1", priority="low", done=True), Kind.COMPLETED, at=clock.now()
    )
    await pool.execute("UPDATE accounts SET added_at = $1", clock.now() - HOUR)
    said = await get(web, "explain", account="london", task="T1")
    assert said["task"]["priority"] == "low"
    assert [one["id"] for one in said["events"]] == [event.id]
    rules = {one["rule"]: one for one in said["rules"]}
    assert set(rules) == {"job-done", "urgent"}
    assert rules["urgent"]["standing"] == "not_matched"
    [condition] = rules["urgent"]["conditions"]
    assert (condition["text"], condition["value"]) == ('task.priority == "high"', False)
    only = await get(web, "explain", task="smith GUTTERS", rule="urgent")
    assert [one["rule"] for one in only["rules"]] == ["urgent"]


async def test_explain_says_what_it_needs(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """No task, one of another account, one of two, and an unknown rule: each is told apart."""
    await know(pool, task("T1"), task("T1", account="field"), at=clock.now())
    assert (await get(web, "explain", 400))["parameter"] == "task"
    assert "T1 in field, T1 in london" in (await get(web, "explain", 400, task="T1"))["detail"]
    said = await get(web, "explain", 404, task="T1", account="lodnon")
    assert "the configuration has: field, london, open" in said["detail"]
    said = await get(web, "explain", 404, task="T9", account="london")
    assert "GET /api/v1/search" in said["detail"]
    said = await get(web, "explain", 404, task="T1", account="london", rule="urgnet")
    assert "did you mean urgent" in said["detail"]
    assert (await get(web, "explain", 400, task="T1", acount="x"))["parameter"] == "acount"


async def test_search_finds_tasks_by_their_words(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Title, customer, assignee and id; states and accounts narrow it; pages follow."""
    await know(
        pool,
        task("A-17", title="Mend the roof"),
        task("T2", title="Paint", customer=SMITH, done=True),
        task("T3", title="Sweep", assignee=BO, account="field"),
        at=clock.now(),
    )
    for words, wanted in (("roo", "A-17"), ("smith", "T2"), ("bo", "T3"), ("a-17", "A-17")):
        assert [one["id"] for one in (await get(web, "search", q=words))["data"]] == [wanted]
    assert (await get(web, "search", q="no such words")) == {"data": [], "next": None}
    [done] = (await get(web, "search", state="done"))["data"]
    assert (done["title"], done["customer"]["name"], done["state"]) == ("Paint", "Smith", "done")
    first = await get(web, "search", limit=2)
    rest = await get(web, "search", limit=2, cursor=first["next"])
    assert {one["id"] for one in first["data"] + rest["data"]} == {"A-17", "T2", "T3"}
    assert rest["next"] is None
    assert "field, london, open" in (await get(web, "search", 404, account="x"))["detail"]


async def test_hostile_text_is_returned_as_text(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """In every field of a task, and in what is planned about it; nothing is cut."""
    long = "x" * 10_000 + HOSTILE
    nasty = task("T1", title=long, customer=Customer(name=HOSTILE), description=HOSTILE)
    await know(pool, nasty, at=clock.now())
    event = await record(pool, nasty, Kind.COMPLETED, at=clock.now())
    await plan(pool, event, State.PLANNED, text=long)
    [found] = (await get(web, "search"))["data"]
    assert (found["title"], found["customer"]["name"]) == (long, HOSTILE)
    [coming] = (await get(web, "next"))["data"]
    assert coming["text"] == long
    assert (await get(web, "explain", task="T1"))["task"]["description"] == HOSTILE
