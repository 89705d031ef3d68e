"""Somebody completes a task, in its system, from the page, the API or a button."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.processes.embedded import EmbeddedValkey
from service.sandbox.faults import Fault, FaultKind
from service.sources import completable
from service.store import Pool
from service.store.operators import completions
from service.store.operators.answers import NoSuchTask, NotAnswered
from tests.harness.corridor import Corridor, corridor
from tests.harness.history import know
from tests.harness.site import Site, serving
from tests.harness.tasks import START
from tests.harness.tasks import task as a_task
from tests.integration.test_alerts import worker
from tests.integration.test_answering import SIGNING, button_of, press

RULES = """
- id: open
  when: task.created
  accounts: [field]
  then:
    - { notify: "slack:#office", text: "New: {{ task.title }}", buttons: [done] }
- id: invoice
  when: task.completed
  then: [{ notify: slack:#office, text: "Invoice for {{ task.title }}" }]
"""
ANN = Actor("Ann")


@pytest.fixture
async def taskbell(folder: Path, pool: Pool, clock: VirtualClock) -> AsyncIterator[Corridor]:
    """A firm with one visit from before, whose office is told of new ones and of what is done."""
    async with corridor(folder, pool, clock, RULES) as running:
        running.head["slack_options"] = f', signing_secret: "{SIGNING}"'
        running.visit(name="Gutters")
        await running.restart(RULES)
        await running.begin()
        yield running


@pytest.fixture
async def web(
    taskbell: Corridor, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with serving(taskbell.config, pool, clock, valkey.url) as running:
        yield running


async def told(taskbell: Corridor) -> str:
    """The office is told of a new visit."""
    visit = taskbell.visit(name="Leak")
    await taskbell.webhook(visit)
    await taskbell.deliver("slack")
    return str(visit["id"])


async def settled(taskbell: Corridor) -> None:
    """A worker writes what was asked for, reads it back, and sends what comes of it."""
    await taskbell.deliver()
    await taskbell.look_up()
    await taskbell.deliver()


async def complete(taskbell: Corridor, task: str) -> None:
    now = taskbell.clock.now()
    await completions.complete(taskbell.pool, ("field", task), completable(), now, by=ANN)


async def ask(web: Site, task: str, status: int, **more: Any) -> Any:
    """Complete it by the API; returns what that answers."""
    answer = await web.client.post("/api/v1/completions", json={"task": task, **more})
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_the_api_completes_a_task_and_it_counts_as_the_persons_own(
    taskbell: Corridor, web: Site
) -> None:
    """The system has it done, rules about completions act, and the history says who it was."""
    task = await told(taskbell)
    assert (await ask(web, task, 200, account="field"))["done"] is False
    await settled(taskbell)
    assert await taskbell.events(task) == ["created by webhook", "completed by fetch"]
    assert "Invoice for Leak" in taskbell.posts
    [write] = await taskbell.deliveries("task.completed")
    assert (write["channel"], write["state"]) == ("complete_task", "sent")
    [change] = (await web.client.get("/api/v1/audit")).json()["data"]
    assert (change["action"], change["subject"]) == ("task.completed", f"field/{task}")
    assert change["by"] == "someone on this machine"


async def test_what_cannot_be_completed_is_refused_in_words(taskbell: Corridor, web: Site) -> None:
    """Of a system that cannot; where it is done, deleted or asked for already; of no task."""
    task = await told(taskbell)
    await know(taskbell.pool, a_task("L1", account="sales", system="letsligo"), at=START)
    await know(taskbell.pool, a_task("P1", account="london"), at=START, gone=True)
    said = await ask(web, "L1", 409)
    assert said["detail"] == "Taskbell cannot complete tasks in sales"
    assert (await ask(web, "P1", 404))["detail"] == "There is no such task"
    await ask(web, "404", 404)
    await ask(web, task, 200)
    assert (await ask(web, task, 409))["detail"] == "someone has already asked for that"
    await settled(taskbell)
    assert (await ask(web, task, 409))["detail"] == "the task is already done"
    for wrong in ({}, {"task": 7}, {"task": task, "account": 7}):
        assert (await web.client.post("/api/v1/completions", json=wrong)).status_code == 400
    assert len(await taskbell.deliveries("task.completed")) == 1


async def test_the_page_asks_first_and_shows_that_it_is_under_way(
    taskbell: Corridor, web: Site
) -> None:
    """The button is behind a question; whoever comes too late is told so on the task's page."""
    task = await told(taskbell)
    path = f"/tasks/field/{task}"
    page = (await web.client.get(path)).text
    assert "This completes it in Kickserv." in page
    assert "Yes, complete it" in page
    pressed = await web.client.post(f"{path}/complete", data={"back": path})
    assert pressed.headers["location"] == path
    page = (await web.client.get(path)).text
    assert "It is being completed in Kickserv." in page
    assert "Yes, complete it" not in page
    late = await web.client.post(f"{path}/complete", data={"back": path})
    assert "Someone already handled this" in (await web.client.get(late.headers["location"])).text
    await settled(taskbell)
    page = (await web.client.get(path)).text
    assert "is being completed" not in page
    assert "Yes, complete it" not in page


async def test_the_page_offers_it_only_where_it_can_be_done(taskbell: Corridor, web: Site) -> None:
    """Not in a system that cannot, and not of a task that was deleted."""
    await know(taskbell.pool, a_task("L1", account="sales", system="letsligo"), at=START)
    await know(taskbell.pool, a_task("P1", account="london"), at=START, gone=True)
    for path in ("/tasks/sales/L1", "/tasks/london/P1"):
        answer = await web.client.get(path)
        assert answer.status_code == 200
        assert "Complete the task" not in answer.text


async def test_the_button_of_a_message_and_the_page_complete_it_once(
    taskbell: Corridor, web: Site, clock: VirtualClock
) -> None:
    """Whoever is first; the other is told that someone has asked for it."""
    task = await told(taskbell)
    await ask(web, task, 200)
    done = button_of(taskbell, "done") | {"reply_to": f"{taskbell.slack.url}/actions/1"}
    assert (await press(web, clock, done)).status_code == 200
    [said] = taskbell.slack.told
    assert said["text"] == "Nothing was changed: someone has already asked for that."
    writes = [one for one in await taskbell.deliveries() if one["channel"] == "complete_task"]
    assert len(writes) == 1


async def test_who_presses_done_again_after_it_failed_is_told_why(
    taskbell: Corridor, web: Site, clock: VirtualClock
) -> None:
    """Otherwise they would believe that it is being done."""
    await told(taskbell)
    done = button_of(taskbell, "done") | {"reply_to": f"{taskbell.slack.url}/actions/1"}
    assert (await press(web, clock, done)).status_code == 200
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.REJECTED, method="PUT"))
    await taskbell.deliver()
    assert (await press(web, clock, done)).status_code == 200
    [_, said] = taskbell.slack.told
    assert said["text"].startswith(
        "Nothing was changed: someone has asked for that, and it failed:"
    )
    assert not said["text"].endswith("..")


async def test_two_who_ask_at_once_write_once(taskbell: Corridor) -> None:
    """The second waits until the first is stored, and then comes too late."""
    task = await told(taskbell)
    both = [complete(taskbell, task), complete(taskbell, task)]
    found = await asyncio.gather(*both, return_exceptions=True)
    [too_late] = [one for one in found if one is not None]
    assert isinstance(too_late, NotAnswered)
    assert len(await taskbell.deliveries("task.completed")) == 1


async def test_what_was_written_and_is_not_read_back_yet_is_not_written_again(
    taskbell: Corridor, web: Site
) -> None:
    """The system has it done, and Taskbell has yet to see that: whoever asks is too late."""
    task = await told(taskbell)
    await ask(web, task, 200)
    await taskbell.deliver()
    assert (await ask(web, task, 409))["detail"] == "someone has already asked for that"
    await taskbell.deliver()
    assert len(taskbell.sandbox.kickserv.record.writes) == 1


async def test_a_task_is_completed_again_after_it_was_reopened(taskbell: Corridor) -> None:
    """Each time somebody asks for it anew."""
    task = await told(taskbell)
    for _ in range(2):
        await complete(taskbell, task)
        await settled(taskbell)
        with pytest.raises(NotAnswered, match="already done"):
            await complete(taskbell, task)
        taskbell.sandbox.kickserv.reopen(task)
        await taskbell.poll(full=True)
    with pytest.raises(NoSuchTask):
        await complete(taskbell, "404")


@pytest.mark.parametrize("is_of_an_event", [True, False])
async def test_a_write_that_fails_is_reported_to_the_operator(
    taskbell: Corridor, web: Site, *, is_of_an_event: bool
) -> None:
    """Also of a task to which nothing has happened since Taskbell knows it."""
    [before] = list(taskbell.sandbox.kickserv.tasks)
    task = await told(taskbell) if is_of_an_event else before
    await complete(taskbell, task)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.REJECTED, method="PUT"))
    await settled(taskbell)
    [write] = await taskbell.deliveries("task.completed")
    assert (write["state"], write["event"] is not None) == ("failed", is_of_an_event)
    await worker(taskbell).batch()
    await taskbell.deliver("slack")
    alert = taskbell.posts[-1]
    assert alert.startswith(f"1 message failed.\n- message {write['id']}: complete_task, which a")
    for path in (f"/messages/{write['id']}", "/"):
        assert "none: a person asked for it" in (await web.client.get(path)).text, path


async def test_nobody_else_is_told_while_a_task_is_being_completed(taskbell: Corridor) -> None:
    """The system is away when somebody presses Done: the escalation ends all the same."""
    escalating = RULES.replace(
        "buttons: [done] }",
        """buttons: [done] }
  escalate: [{ notify: "slack:#dispatch", after: 15m, text: "Nobody has it" }]""",
    )
    await taskbell.restart(escalating)
    task = await told(taskbell)
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.UNAVAILABLE, times=1000))
    await complete(taskbell, task)
    for _ in range(3):
        await taskbell.tick(minutes=10)
        await taskbell.deliver()
    assert taskbell.posts == ["New: Leak"]
    assert "cancelled: Ann is completing the task" in [
        one["reason"] for one in await taskbell.deliveries("open")
    ]
