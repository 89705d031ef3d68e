"""A rule test that is made of a task's history passes, and says what happened."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ruamel.yaml import YAML

from service.clock import VirtualClock
from service.config import sketch_tests
from service.domain.model import Cause, Event, Kind, Task
from service.processes.embedded import EmbeddedValkey
from service.simulator.rule_tests.report import lines
from service.simulator.rule_tests.runner import RuleTestStage, run
from service.store import Pool
from service.store.events import PostgresEvents
from tests.harness.full_office import HOSTILE, LONG
from tests.harness.history import know, know_of_none, record
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import BO, SMITH, task

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MORE = """
- id: settled
  when: task.completed
  if: task.type == "job"
  settle: 2m
  then:
  - { notify: accounting, text: "{{ task.title }} for {{ task.customer.name }}" }
  - create_task: { title: "Bill {{ task.title }}", due: 1 day }
- id: nudge
  when: { task.overdue: 2h }
  hours: office
  then:
  - { notify: accounting, text: "due {{ task.due | local }}" }
  - wait: 1h
  - { notify: accounting, text: "still open: {{ task.title }}" }
  until: task.done
- id: moved
  when: { task.rescheduled: [start] }
  if: has(before.start) && has(task.start)
  accounts: [field]
  then: [{ notify: accounting, text: "{{ before.start | local }} - {{ task.start | local }}" }]
- id: gone
  when: task.deleted
  then: [{ notify: accounting, text: "{{ task.title }} is gone" }]
- id: any-change
  when: task.changed
  enabled: false
  then: [{ notify: accounting, text: "{{ task.title }}: {{ task.fields.region }}" }]
- id: leaving
  when: { signal: leaving }
  then: [{ notify: accounting, text: "to {{ task.assignee.name }}" }]
- id: together
  when: task.completed
  group: { by: task.assignee.name, wait: 30m }
  then: [{ notify: accounting, text: "{{ group.size }} by {{ group.key }}" }]
- id: every-minute
  when: { schedule: "* * * * *" }
  then: [{ notify: accounting, text: "tick" }]
hours: { office: "Mo-Fr 08:00-17:00" }
"""


@pytest.fixture
async def web(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with serving(configured(tmp_path, MORE), pool, clock, valkey.url) as running:
        yield running


async def happened(
    pool: Pool, before: Task | None, after: Task, kind: Kind, at: datetime, **more: Any
) -> None:
    """A change of a task that was decided on at once; it is as it is after it."""
    await record(pool, after, kind, at=at, before=before, **more)
    await know(pool, after, at=at)


async def made(
    web: Site, folder: Path, rule: str, name: str = "T1", account: str = "london"
) -> Any:
    """The test that is downloaded: it is loaded and passes, as by `taskbell test`."""
    address = f"/rule-tests?account={account}&task={quote(name, safe='')}&rule={rule}"
    answer = await web.client.get(f"{address}&download=1")
    assert answer.headers["content-disposition"] == f'attachment; filename="{rule}-test.yaml"'
    file = folder / "made.yaml"
    file.write_text(answer.text, encoding="utf-8")
    found = sketch_tests(file, folder / "taskbell.yaml", {})
    [trial] = found.trials
    result = await run(trial, RuleTestStage.of(found))
    assert not result.failures, "\n".join(lines(result))
    shown = (await web.client.get(address)).text
    assert '<pre class="card" tabindex="0" aria-label="The test">' in shown
    file.unlink()
    return YAML(typ="safe").load(answer.text)["tests"][0]


def expected(test: Any) -> list[dict[str, Any]]:
    return [one for step in test["steps"] for one in step["expect"]]


async def test_a_rule_that_waited(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """What was known before is given; message and new task come when it has been quiet."""
    at = clock.now() - HOUR
    before = task(type="job", customer=SMITH, assignee=BO, assignees=(BO,), description=LONG)
    await happened(pool, before, replace(before, done=True), Kind.COMPLETED, at)
    test = await made(web, tmp_path, "settled")
    assert test["account"] == "london"
    assert test["given"] == [
        {
            "id": "T1",
            "title": "Smith gutters",
            "type": "job",
            "assignee": {"id": "7", "name": "Bo", "email": "bo@x.test"},
            "customer": {
                "id": "c1",
                "name": "Smith",
                "email": "smith@x.test",
                "phone": "+1 555 0100",
            },
        }
    ]
    assert [one["at"] for one in test["steps"]] == ["2026-03-06 11:00", "2026-03-06 11:02"]
    assert test["steps"][0]["change"] == {"T1": {"done": True}}
    assert expected(test) == [
        {"notify": "accounting", "contains": ["Smith gutters for Smith"]},
        {"create_task": {"title": "Bill Smith gutters", "due": "2026-03-07 11:02"}},
    ]


async def test_a_rule_that_did_not_act(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """The test has what its condition reads, and expects nothing."""
    call = task(type="call")
    await happened(pool, call, replace(call, done=True), Kind.COMPLETED, clock.now() - HOUR)
    test = await made(web, tmp_path, "settled")
    assert test["given"] == [{"id": "T1", "title": "Smith gutters", "type": "call"}]
    assert expected(test) == []


async def test_an_alarm_outside_the_hours(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """What was held is sent in the morning, and the last step is cancelled as it is done."""
    due = datetime(2026, 3, 5, 16, 0, tzinfo=UTC)
    clock.set(datetime(2026, 3, 6, 12, 0, tzinfo=UTC))
    new = task(due=due)
    await happened(pool, None, new, Kind.CREATED, due - 5 * HOUR)
    await happened(pool, new, new, Kind.OVERDUE, due + 2 * HOUR, cause=Cause.CLOCK)
    done = replace(new, done=True)
    morning = datetime(2026, 3, 6, 8, 30, tzinfo=UTC)
    await happened(pool, new, done, Kind.COMPLETED, morning)
    test = await made(web, tmp_path, "nudge")
    assert "given" not in test
    assert [
        (one["at"], *(next(iter(each)) for each in one["expect"])) for one in test["steps"]
    ] == [
        ("2026-03-05 11:00",),
        ("2026-03-05 18:00", "held"),
        ("2026-03-06 08:00", "notify"),
        ("2026-03-06 08:30", "cancelled"),
    ]


async def test_what_waits_is_awaited(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """A message that goes out after now is in the test."""
    at = clock.now() - timedelta(seconds=30)
    job = task(type="job")
    await happened(pool, job, replace(job, done=True), Kind.COMPLETED, at)
    test = await made(web, tmp_path, "settled")
    assert len(expected(test)) == 2


async def test_days_and_zones(web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path) -> None:
    """A day stays a day, and a time of the hour that exists twice keeps its offset."""
    day = datetime(2026, 3, 6, 4, 59, 59, tzinfo=UTC)
    twice = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    old = task(account="field", start=day.replace(hour=5, minute=0, second=0), start_is_day=True)
    new = replace(old, start=twice, start_is_day=False)
    await happened(pool, old, new, Kind.RESCHEDULED, clock.now() - HOUR)
    test = await made(web, tmp_path, "moved", account="field")
    assert test["given"][0]["start"] == "2026-03-06"
    assert test["steps"][0]["change"] == {"T1": {"start": "2026-10-25 01:30:00+00:00"}}
    assert expected(test)[0]["contains"] == ["Fri 6 Mar 2026 - Sat 24 Oct 2026, 21:30"]


async def test_a_task_that_was_deleted(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """The step says so."""
    async with pool.acquire() as connection:
        events, at = PostgresEvents(connection), clock.now() - HOUR
        [number] = await events.allot_ids(1)
        one = Event(number, "london", "T1", Kind.DELETED, at, Cause.POLL, task(), None)
        await events.insert([one], "none", at)
    await know(pool, task(), at=at, gone=True)
    test = await made(web, tmp_path, "gone")
    assert test["steps"][0]["change"] == {"T1": "deleted"}
    assert expected(test) == [{"notify": "accounting", "contains": ["Smith gutters is gone"]}]


async def test_signals_digests_and_every_field(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """A signal is a step; a combined message comes later; a rule on any change has every field."""
    at = clock.now() - 2 * HOUR
    old = task(assignee=BO, assignees=(BO,), fields={"region": "north"}, tags=("a",))
    await know(pool, old, at=at)
    async with pool.acquire() as connection:
        events = PostgresEvents(connection)
        [number] = await events.allot_ids(1)
        heard = Event(
            number, "london", "T1", Kind.SIGNAL, at, Cause.SIGNAL, old, old, signal="leaving"
        )
        await events.insert([heard], "none", at)
    new = replace(old, done=True, fields={"region": "south"}, tags=("a", "b"))
    await happened(pool, old, new, Kind.COMPLETED, at + HOUR)
    left = await made(web, tmp_path, "leaving")
    assert left["steps"][0]["signal"] == {"T1": "leaving"}
    assert expected(left)[0]["contains"] == ["to Bo"]
    together = await made(web, tmp_path, "together")
    assert expected(together) == [{"notify": "accounting", "contains": ["1 by Bo"]}]
    changed = await made(web, tmp_path, "any-change")
    step = next(one for one in changed["steps"] if one["expect"])
    assert step["change"]["T1"] == {
        "done": True,
        "tags": ["a", "b"],
        "fields": {"region": "south"},
    }


async def test_hostile_texts_stay_texts(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """For any text in a task, the file is valid YAML, and the page shows it as text."""
    name = "a/b ?<b>&'\"\u202e"
    title = f"{HOSTILE}: - # & * ! | > % @ ` \u2028\x85\x07{{{{ x }}}} {LONG}"
    one = task(name, title=title, type="job")
    await happened(pool, one, replace(one, done=True), Kind.COMPLETED, clock.now() - HOUR)
    test = await made(web, tmp_path, "settled", name)
    assert test["given"][0] == {"id": name, "title": title, "type": "job"}
    address = f"/rule-tests?account=london&task={quote(name, safe='')}&rule=settled"
    page = (await web.client.get(address)).text
    assert "<script>alert" not in page
    task_page = (await web.client.get(f"/tasks/london/{quote(name, safe='')}")).text
    assert "Make a rule test from this" in task_page


async def test_a_date_that_is_set_late(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """An alarm whose time is past then fires at once."""
    at = clock.now() - HOUR
    old, new = task(), task(due=at - 3 * HOUR)
    await happened(pool, old, new, Kind.RESCHEDULED, at)
    test = await made(web, tmp_path, "nudge")
    assert [one["at"] for one in test["steps"]] == [f"2026-03-06 {one}:00" for one in (11, 11, 12)]
    assert len(expected(test)) == 2


async def test_a_task_without_events(
    web: Site, pool: Pool, clock: VirtualClock, tmp_path: Path
) -> None:
    """It is given as it is, and nothing is expected until now."""
    await know(pool, task(type="job"), at=clock.now() - DAY)
    test = await made(web, tmp_path, "settled")
    assert test["given"] == [{"id": "T1", "title": "Smith gutters", "type": "job"}]
    assert expected(test) == []


@pytest.mark.parametrize(
    ("task_id", "rule", "why"),
    [
        ("T1", "every-minute", "does too much"),
        ("T9", "settled", "does not know enough"),
    ],
)
async def test_what_cannot_be_a_test_says_why(
    web: Site, pool: Pool, clock: VirtualClock, task_id: str, rule: str, why: str
) -> None:
    """A rule that acts too often, and a task of which only the number is known."""
    at = clock.now() - DAY
    await happened(pool, None, task(), Kind.CREATED, at)
    await know_of_none(pool, ("london", "T9"), at)
    page = (await web.client.get(f"/rule-tests?account=london&task={task_id}&rule={rule}")).text
    assert why in page
    assert "<pre" not in page


@pytest.mark.parametrize(
    "query",
    ["", "?account=london&task=T1", "?account=london&task=T1&rule=x", "?account=%00&task=T"],
)
async def test_an_address_that_names_nothing(
    web: Site, pool: Pool, clock: VirtualClock, query: str
) -> None:
    """A person reads that there is no such task or rule."""
    await know(pool, task(), at=clock.now())
    answer = await web.client.get(f"/rule-tests{query}", headers={"accept": "text/html"})
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert "There is no such task, or no such rule" in answer.text
