"""Tasks that Kickserv's window of dates does not show, and accounts whose fields are misnamed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.store import Pool
from service.store.views import api_lists
from tests.harness.corridor import Corridor, begun, corridor

RULES = """
- { id: made, when: task.created, then: [{ notify: accounting }] }
- { id: done, when: task.completed, then: [{ notify: accounting }] }
"""
LONG_AGO = timedelta(days=400)
RENAMED = {"name": "subject", "scheduled_at": "begins_at", "completed_on": "finished_on"}


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def next_poll(taskbell: Corridor) -> None:
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.poll()
    await taskbell.look_up()


async def test_a_task_without_a_date_is_seen_by_the_next_full_scan(taskbell: Corridor) -> None:
    """No window of dates shows it; it was made today all the same."""
    made = taskbell.visit(scheduled_at=None, ends_at=None)
    await next_poll(taskbell)
    assert await taskbell.events(made["id"]) == []
    await taskbell.poll(full=True)
    assert await taskbell.events(made["id"]) == ["created by poll"]


async def test_an_old_task_that_is_finished_is_seen_soon(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """It left the window long ago, or never was in it: some such tasks are asked for by id."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        old = [taskbell.visit(scheduled_at=clock.now() - LONG_AGO, ends_at=None) for _ in range(25)]
        undated = taskbell.visit(scheduled_at=None, ends_at=None)
        await taskbell.begin("field")
        for task in (old[0], old[-1], undated):
            taskbell.sandbox.kickserv.finish(str(task["id"]))
        for _ in range(3):
            await next_poll(taskbell)
        assert await taskbell.events() == ["completed by fetch"] * 3


async def test_an_old_task_that_is_finished_once_it_is_known_as_done_is_left_alone(
    taskbell: Corridor,
) -> None:
    """What is done is not asked for at every poll, and neither is what the window shows."""
    taskbell.sandbox.kickserv.finish(str(taskbell.visit()["id"]))
    taskbell.visit()
    await next_poll(taskbell)
    taskbell.sandbox.kickserv.record.requests.clear()
    await next_poll(taskbell)
    assert [one for one in taskbell.sandbox.kickserv.record.requests if "tasks/" in one] == []


async def test_a_task_moved_into_the_past_is_moved(taskbell: Corridor) -> None:
    """The window shows it no more; it is not gone."""
    made = taskbell.visit()
    await next_poll(taskbell)
    taskbell.sandbox.kickserv.change(
        str(made["id"]), scheduled_at=taskbell.clock.now() - LONG_AGO, ends_at=None
    )
    await taskbell.poll(full=True)
    assert (await taskbell.events(made["id"]))[-1] == "rescheduled by poll"


def misnamed(taskbell: Corridor) -> None:
    """Tasks of an account with other names for its fields, one of them done."""
    taskbell.sandbox.kickserv.set_quirks(names=RENAMED)
    for _ in range(24):
        taskbell.visit()
    taskbell.sandbox.kickserv.finish(next(iter(taskbell.sandbox.kickserv.tasks)))


async def state(taskbell: Corridor) -> tuple[str, str | None]:
    [account] = await api_lists.read_accounts(taskbell.pool, taskbell.clock.now(), ["field"])
    return account["state"], account["error"]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("", 'the field "name" is empty or missing in all 24 tasks'),
        ("{ title: subject, end: ending }", 'the fields "scheduled_at" and "ending" are empty'),
        ("{ title: subject, start: begins_at }", 'the field "completed_on" is empty or missing'),
    ],
)
async def test_an_account_with_other_names_says_what_to_configure(
    pool: Pool, clock: VirtualClock, folder: Path, told: str, says: str
) -> None:
    """Nothing is believed of its tasks, and nobody is told anything."""
    fields = f"fields: {told}, " if told else ""

    def accounts(url: str) -> str:
        return FIELD.format(url=url, fields=fields)

    async with corridor(folder, pool, clock, RULES, accounts) as taskbell:
        misnamed(taskbell)
        await taskbell.poll()
        assert (await state(taskbell))[0] == "failing"
        assert says in ((await state(taskbell))[1] or "")
        assert await taskbell.events() == []


async def test_every_name_can_be_told(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Then it is an account like others, also for what is written to it."""
    told = "fields: { title: subject, start: begins_at, done: finished_on }, "

    def accounts(url: str) -> str:
        return FIELD.format(url=url, fields=told)

    async with corridor(folder, pool, clock, RULES, accounts) as taskbell:
        misnamed(taskbell)
        await taskbell.begin("field")
        assert await state(taskbell) == ("ok", None)
        first, other = list(taskbell.sandbox.kickserv.tasks)[:2]
        known = [await taskbell.snapshot(one) or {} for one in (first, other)]
        assert [(one["title"], one["done"]) for one in known] == [
            ("Clean the gutters", True),
            ("Clean the gutters", False),
        ]
        taskbell.sandbox.kickserv.finish(other)
        await next_poll(taskbell)
        assert await taskbell.events() == ["completed by poll"]
        await taskbell.sources["field"].update_task(first, {"title": "Mend the fence"})
        [write] = taskbell.sandbox.kickserv.record.writes
        assert write.body == {"task": {"subject": "Mend the fence"}}


async def test_a_word_that_nobody_knows_is_told_of(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The customer hears nothing, and the account says which word it was."""

    def accounts(url: str) -> str:
        return FIELD.format(url=url, fields="opted_out_field: texts, ")

    async with corridor(folder, pool, clock, RULES, accounts) as taskbell:
        made = taskbell.visit(customer={"id": 1, "name": "Ida", "texts": "only on Mondays"})
        taskbell.visit(customer={"id": 2, "name": "Bo", "texts": "f"})
        await taskbell.begin("field")
        known = await taskbell.snapshot(made["id"])
        assert known is not None
        assert known["customer"]["opted_out"]
        row = await taskbell.pool.fetchrow("SELECT unread, unread_example FROM accounts")
        assert row is not None
        example = f"customer.texts of task {made['id']} (value: 'only on Mondays')"
        assert tuple(row) == (1, example)


FIELD = """\
  field:  {{ system: kickserv, base_url: "{url}/kickserv", slug: acme, poll: 60s, {fields}
             token: "${{SYSTEM_TOKEN}}", per_minute: 100000, create: {{ job_id: 1 }} }}
"""
