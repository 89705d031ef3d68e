"""Somebody takes a task: it is assigned to them in its system, and they have acknowledged it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Person
from service.engine.postgres import PostgresTransaction
from service.outbox.approvals import LinkTo
from service.processes.embedded import EmbeddedValkey
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.kickserv import employee
from service.sandbox.plannr import person
from service.sources import assignable
from service.store import Pool
from service.store.operators import answers, assignments
from service.store.operators.answers import NotAnswered
from service.store.operators.assignments import NobodyMeant, Taken, Who
from tests.harness.corridor import LINKS, Corridor, corridor
from tests.harness.site import Site, serving
from tests.harness.waiting import eventually
from tests.integration.test_answering import SIGNING, button_of, press

RULES = """
- id: open
  when: task.created
  accounts: [field, london]
  then:
    - notify: slack:#office
      text: "New: {{ task.title }}"
      buttons: [take]
    - notify: "mail:ann.lee@field.test"
      text: "New: {{ task.title }}"
      buttons: [take]
  escalate: [{ notify: "slack:#dispatch", after: 15m, text: "Nobody has it" }]
- id: given
  when: task.reassigned
  then: [{ notify: "slack:#dispatch", text: "{{ task.assignee.name }} has {{ task.title }}" }]
"""
ANN = employee("Ann Lee", 5)
BY_SLACK = "people: { Ann Lee: { slack: U1 } }"


@pytest.fixture
async def taskbell(folder: Path, pool: Pool, clock: VirtualClock) -> AsyncIterator[Corridor]:
    """A firm with Bo and Ann, whose Slack tells of pressed buttons."""
    async with corridor(folder, pool, clock, RULES) as running:
        running.head["slack_options"] = f', signing_secret: "{SIGNING}"'
        running.visit(name="Gutters", employees=[ANN])
        running.visit(name="Roof")
        await running.restart(RULES)
        await running.begin()
        yield running


@pytest.fixture
async def web(
    taskbell: Corridor, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with serving(taskbell.config, pool, clock, valkey.url) as running:
        yield running


async def told(taskbell: Corridor, **fields: Any) -> str:
    """The office is told of a new visit of Bo's."""
    visit = taskbell.visit(name="Leak", **fields)
    await taskbell.webhook(visit)
    await taskbell.deliver("slack")
    return str(visit["id"])


async def pressed_in_slack(taskbell: Corridor, web: Site) -> int:
    button = button_of(taskbell, "take") | {"reply_to": f"{taskbell.slack.url}/actions/1"}
    return (await press(web, taskbell.clock, button)).status_code


async def settled(taskbell: Corridor) -> None:
    """A worker does what was pressed, and reads back what it has written."""
    await taskbell.ingest()
    await taskbell.deliver()
    await taskbell.look_up()
    await taskbell.deliver()


def assigned(taskbell: Corridor, task: str) -> list[str]:
    found = taskbell.sandbox.kickserv.tasks[task]["employees"]
    return [one.get("first_name", str(one["id"])) for one in found]


async def acknowledged_by(taskbell: Corridor, task: str) -> str | None:
    known = await taskbell.snapshot(task)
    assert known is not None
    who = known["acknowledged_by"]
    return str(who["name"]) if known["acknowledged"] else None


async def answers_kept(taskbell: Corridor) -> list[tuple[str, str]]:
    rows = await taskbell.pool.fetch("SELECT by, detail FROM changes ORDER BY id")
    return [(row["by"], row["detail"]) for row in rows]


async def test_who_presses_it_in_slack_is_the_assignee(taskbell: Corridor, web: Site) -> None:
    """By the address that Slack has of them; nobody else is asked, and rules hear of it."""
    taskbell.slack.emails["U1"] = "Ann.Lee@field.test"
    task = await told(taskbell)
    assert await pressed_in_slack(taskbell, web) == 200
    await settled(taskbell)
    assert assigned(taskbell, task) == ["Ann"]
    assert await acknowledged_by(taskbell, task) == "Ann Lee"
    assert "Ann Lee has Leak" in taskbell.posts
    await taskbell.tick(hours=1)
    await taskbell.deliver()
    assert "Nobody has it" not in taskbell.posts
    assert await answers_kept(taskbell) == [("Ann Lee in Slack", "taken")]
    [said] = taskbell.slack.told
    assert said["response_type"] == "ephemeral"
    assert said["text"].startswith("The task is yours")


async def test_who_is_in_the_directory_is_known_by_their_id_in_slack(
    taskbell: Corridor, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """A workspace that shows no addresses does not matter then."""
    await taskbell.restart(RULES + BY_SLACK)
    async with serving(taskbell.config, pool, clock, valkey.url) as informed:
        task = await told(taskbell)
        assert await pressed_in_slack(taskbell, informed) == 200
        await settled(taskbell)
        assert assigned(taskbell, task) == ["Ann"]
        assert "The task is yours" in taskbell.slack.told[0]["text"]


async def test_whom_nobody_knows_takes_care_of_it_all_the_same(
    taskbell: Corridor, web: Site
) -> None:
    """Nothing is lost: it is acknowledged, and the person is told that it was not assigned."""
    task = await told(taskbell)
    assert await pressed_in_slack(taskbell, web) == 200
    await settled(taskbell)
    assert assigned(taskbell, task) == ["Bo"]
    assert await acknowledged_by(taskbell, task) == "Ann Lee"
    [said] = taskbell.slack.told
    assert (
        "was not assigned to you in its system: Taskbell does not know who you are" in said["text"]
    )
    [(_, detail)] = await answers_kept(taskbell)
    assert detail == "acknowledged, but not assigned: Taskbell does not know who you are"


async def test_the_escalation_stops_before_a_worker_has_read_the_answer(
    taskbell: Corridor, web: Site
) -> None:
    """Whoever takes it, assigned or not: nobody else is asked from that moment."""
    await told(taskbell)
    await pressed_in_slack(taskbell, web)
    await taskbell.tick(hours=1)
    await taskbell.deliver()
    assert "Nobody has it" not in taskbell.posts


async def test_a_second_press_changes_nothing_and_says_who_was_first(
    taskbell: Corridor, web: Site
) -> None:
    """Even before a worker has processed the first press."""
    taskbell.slack.emails["U1"] = "ann.lee@field.test"
    await told(taskbell)
    button = button_of(taskbell, "take") | {"reply_to": f"{taskbell.slack.url}/actions/1"}
    await press(web, taskbell.clock, button)
    await press(web, taskbell.clock, button)
    await settled(taskbell)
    await press(web, taskbell.clock, button)
    texts = [one["text"] for one in taskbell.slack.told]
    assert texts[1:] == [
        "Nothing was changed: someone acknowledged the task a moment ago.",
        "Nothing was changed: Ann Lee has already acknowledged the task.",
    ]
    assert len([one for one in await taskbell.deliveries() if one["channel"] == "update_task"]) == 1


async def test_a_link_in_a_mail_takes_it_for_its_receiver(taskbell: Corridor, web: Site) -> None:
    """Opening it does nothing; the button does, once, and the page says what it did."""
    task = await told(taskbell)
    [mail] = [one for one in await taskbell.deliveries() if one["channel"] == "mail"]
    link = LINKS.to(LinkTo.ANSWER, mail["id"], str(mail["key"]))
    path = link.removeprefix("https://tasks.test")
    page = (await web.client.get(path)).text
    assert "Take it: the task is assigned to you in its system." in page
    assert await acknowledged_by(taskbell, task) is None
    after = (await web.client.post(path, data={"answer": "take"})).text
    assert "The task is yours" in after
    assert "Nothing was changed" in (await web.client.post(path, data={"answer": "take"})).text
    await settled(taskbell)
    assert assigned(taskbell, task) == ["Ann"]


async def test_a_system_that_refuses_is_tried_and_then_said(taskbell: Corridor, web: Site) -> None:
    """The write is a message like others: it has a reason, and a person can send it again."""
    taskbell.slack.emails["U1"] = "ann.lee@field.test"
    task = await told(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.REJECTED, method="PUT"))
    await pressed_in_slack(taskbell, web)
    await settled(taskbell)
    [write] = [one for one in await taskbell.deliveries() if one["channel"] == "update_task"]
    assert write["state"] == "failed"
    assert await acknowledged_by(taskbell, task) == "Ann Lee"


async def test_a_task_that_is_reassigned_later_is_not_taken_any_more(
    taskbell: Corridor, web: Site
) -> None:
    """The office gives it to Bo after all: nobody has acknowledged it then."""
    taskbell.slack.emails["U1"] = "ann.lee@field.test"
    task = await told(taskbell)
    await pressed_in_slack(taskbell, web)
    await settled(taskbell)
    taskbell.sandbox.kickserv.change(task, employees=[employee("Bo Reed")])
    await taskbell.poll(full=True)
    assert await acknowledged_by(taskbell, task) is None


async def test_the_api_the_page_and_the_command_assign_a_task(
    taskbell: Corridor, web: Site
) -> None:
    """To any person in its tasks, by id, address or name; each records who did it."""
    task = await told(taskbell)
    page = (await web.client.get(f"/tasks/field/{task}")).text
    assert f'<option value="{ANN["id"]}">Ann Lee</option>' in page
    about = {"task": task, "account": "field"}
    answer = await web.client.post("/api/v1/assignments", json=about | {"assignee": "ann lee"})
    assert (answer.status_code, answer.json()["id"]) == (200, task)
    await settled(taskbell)
    assert assigned(taskbell, task) == ["Ann"]
    assert "Ann Lee has Leak" in taskbell.posts
    late = await web.client.post("/api/v1/assignments", json=about | {"assignee": "Ann Lee"})
    assert (late.status_code, late.json()["detail"]) == (
        409,
        "the task is assigned to Ann Lee already",
    )
    nobody = await web.client.post("/api/v1/assignments", json=about | {"assignee": "Cy"})
    assert nobody.json()["detail"] == "in field, nobody or more than one person is known as Cy"
    for wrong in ({}, {"assignee": 7}):
        assert (await web.client.post("/api/v1/assignments", json=about | wrong)).status_code == 400
    unknown = await web.client.post("/api/v1/assignments", json={"task": "404", "assignee": "Bo"})
    assert unknown.status_code == 404
    form = {"assignee": str(employee("Bo Reed")["id"]), "back": f"/tasks/field/{task}"}
    pressed = await web.client.post(f"/tasks/field/{task}/assign", data=form)
    assert pressed.headers["location"] == f"/tasks/field/{task}"
    await settled(taskbell)
    assert assigned(taskbell, task) == ["Bo"]
    assert [detail for _, detail in await answers_kept(taskbell)] == ["to Ann Lee", "to Bo Reed"]


@pytest.mark.parametrize("is_sent", [False, True])
async def test_who_asks_twice_assigns_once(taskbell: Corridor, *, is_sent: bool) -> None:
    """Whether the write waits, or was made and is not read back yet; another person is assigned."""
    task = await told(taskbell)

    async def assign(word: str) -> None:
        await assignments.assign(
            *(taskbell.pool, ("field", task), word, assignable(), taskbell.clock.now()),
            by=Actor("Cy"),
        )

    await assign("Ann Lee")
    if is_sent:
        await taskbell.deliver()
    with pytest.raises(NotAnswered, match="the task is assigned to Ann Lee already"):
        await assign("ann.lee@field.test")
    await settled(taskbell)
    assert len(taskbell.sandbox.kickserv.record.writes) == 1
    await assign("Bo Reed")
    await settled(taskbell)
    assert assigned(taskbell, task) == ["Bo"]


async def test_who_is_asked_for_again_after_another_person_is_assigned(taskbell: Corridor) -> None:
    """None of it is written yet: the last word counts."""
    task = await told(taskbell)
    for word in ("Ann Lee", "Bo Reed", "Ann Lee"):
        await assignments.assign(
            *(taskbell.pool, ("field", task), word, assignable(), taskbell.clock.now()),
            by=Actor("Cy"),
        )
    writes = [one for one in await taskbell.deliveries() if one["channel"] == "update_task"]
    assert len(writes) == 3


async def test_a_press_while_a_worker_processes_another_one(taskbell: Corridor, pool: Pool) -> None:
    """It comes too late, too: what the worker has made of the first one is looked at."""
    task = await told(taskbell)
    [message, *_] = await taskbell.deliveries("open")

    async def take(name: str) -> Taken:
        who = Who(Person(name=name), [name], assignable())
        now = taskbell.clock.now()
        return await assignments.take(pool, message["id"], who, now, by=Actor(name))

    await take("Ann Lee")
    async with pool.acquire() as worker, worker.transaction():
        said = await answers.take(worker, "field", 10)
        late = asyncio.create_task(take("Bo Reed"))
        await eventually(lambda: _is_blocked(pool))
        await taskbell.worker.ingests["field"]._engine.acknowledge(
            PostgresTransaction(worker), said
        )
    with pytest.raises(NotAnswered, match="Ann Lee has already acknowledged the task"):
        await late
    await settled(taskbell)
    assert assigned(taskbell, task) == ["Ann"]


async def _is_blocked(pool: Pool) -> bool:
    return bool(
        await pool.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0)"
        )
    )


async def test_a_task_without_any_event_can_be_assigned(taskbell: Corridor, web: Site) -> None:
    """It was known from the first sync; its page and its message show as others do."""
    [task] = [
        one for one, raw in taskbell.sandbox.kickserv.tasks.items() if raw["name"] == "Gutters"
    ]
    taskbell.visit(name="Leak")
    await taskbell.poll(full=True)
    now, by = taskbell.clock.now(), Actor("Cy")
    await assignments.assign(
        taskbell.pool, ("field", task), "bo.reed@field.test", assignable(), now, by=by
    )
    await settled(taskbell)
    assert assigned(taskbell, task) == ["Bo"]
    [write] = await taskbell.deliveries("task.assigned")
    for path in (f"/messages/{write['id']}", f"/tasks/field/{task}", "/messages"):
        assert (await web.client.get(path)).status_code == 200


async def test_two_people_of_one_name_are_nobody(taskbell: Corridor) -> None:
    """Who is meant is not guessed; an id says it."""
    twin = employee("Ann Lee", 6) | {"email": "ann2@field.test"}
    task = await told(taskbell, employees=[twin])
    now, by = taskbell.clock.now(), Actor("Cy")
    with pytest.raises(NobodyMeant, match="nobody or more than one person"):
        await assignments.assign(
            taskbell.pool, ("field", task), "Ann Lee", assignable(), now, by=by
        )
    with pytest.raises(NotAnswered, match="assigned to Ann Lee already"):
        await assignments.assign(
            taskbell.pool, ("field", task), twin["email"], assignable(), now, by=by
        )
    number = str(ANN["id"])
    await assignments.assign(taskbell.pool, ("field", task), number, assignable(), now, by=by)


async def test_a_task_is_taken_in_another_system_too(taskbell: Corridor, web: Site) -> None:
    """Plannr knows people by a uuid."""
    ann = person("Ann Lee")
    taskbell.sandbox.plannr.make(assigned_to=ann)
    await taskbell.poll("london", full=True)
    taskbell.slack.emails["U1"] = ann["email"]
    task = taskbell.sandbox.plannr.make(name="Review")
    await taskbell.webhook(task, "london")
    await taskbell.deliver("slack")
    assert await pressed_in_slack(taskbell, web) == 200
    await taskbell.deliver()
    assert taskbell.sandbox.plannr.tasks[task["uuid"]]["assigned_to"]["uuid"] == ann["uuid"]
