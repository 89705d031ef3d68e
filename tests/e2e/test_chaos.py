"""Everything at once, and everything fails: in the end people know what is, and heard it once.

A real `taskbell serve` with its own PostgreSQL and Valkey, all four emulated systems, Slack and a
receiver of webhooks. While people change tasks, webhooks go astray, calls fail before and after
they were carried out, and processes are killed. Then it is quiet, and the laws are asked of what
is left: of the systems themselves, of those who were told, and of Taskbell's own record.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import orjson
import pytest
from hypothesis import settings

from service.clock import SystemClock
from service.domain.model import Task
from service.domain.recurrence import moved
from service.http.client import open_client
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from service.sources import systems
from tests.chaos.chronicle import Chronicle
from tests.chaos.firm import Firm
from tests.chaos.installation import Installation, installed
from tests.chaos.post import SECRET, Post
from tests.contract.source_rig import connect, sample
from tests.harness.receivers import LOOPBACK, Answer, Fault, HttpReceiver, Request
from tests.harness.waiting import eventually
from tests.integration.test_interleavings import told

IS_SOAKING = settings.get_current_profile_name() == "soak"
# Other days each time, but the same in all processes of a run, or they would not share it out.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")
SEEDS = Random(RUN).sample(range(1_000_000), 6) if IS_SOAKING else [1]  # noqa: S311
SECONDS, DISASTERS = (150, 16) if IS_SOAKING else (8, 4)
FURNITURE = 8  # tasks of each system that were there before
AHEAD = timedelta(minutes=30)
ON_ITS_WAY = timedelta(seconds=4)  # two calls of a system, each within its time-out
PATIENCE = 120.0  # seconds; a dead worker's poll comes back after 30 of them

TOLD = ("created", "completed", "reopened", "rescheduled", "deleted", "restored")
CONFIGURATION = """
version: 1
timezone: Europe/London
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
{accounts}
channels:
  slack: {{ kind: slack, token: sandbox, api_url: "{sandbox}/slack/api/", timeout: 1s,
            rate: 100/s }}
  accounting: {{ kind: webhook, url: "{receiver}/hook", timeout: 1s }}
storm: {{ messages: 1000000 }}
rules:
{stories}
- id: done
  when: task.completed
  then:
    - notify: slack:#office
      text: "{{{{ task.account }}}} {{{{ task.id }}}}"
      on_undo: update
- id: booked
  when: task.created
  accounts: [kickserv]
  once_per: [task.id]
  hours: {{ use: always, outside: ignore }}
  then: [{{ notify: "customer:details" }}]
- id: on-the-way
  when: {{ task.starting_soon: 30m }}
  accounts: [kickserv]
  once_per: [task.id]
  hours: {{ use: always, outside: ignore }}
  then: [{{ notify: "customer:on_the_way" }}]
- id: invoice
  when: task.completed
  accounts: [rolodex]
  once_per: [task.id]
  then: [{{ create_task: {{ title: "Invoice for {{{{ task.id }}}}", due: 1 day }} }}]
- id: again
  when: task.reopened
  accounts: [plannr]
  then: [{{ update_task: {{ priority: high }} }}]
hours: {{ always: "24/7" }}
"""
STORY = """\
- {{ id: {kind}, when: task.{kind}, own_writes: true, then: [{{ notify: accounting }}] }}
"""


class MoodyReceiver(HttpReceiver):
    """Refuses or loses every third message the first time that it comes, until it is `calm`."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.calm = False
        self._rng = rng
        self._seen: set[str] = set()

    def answer(self, request: Request) -> Answer:
        key = request.headers["webhook-id"]
        is_new = key not in self._seen
        self._seen.add(key)
        if self.calm or not is_new or self._rng.random() > 1 / 3:
            return Answer()
        refusal = Answer(status=self._rng.choice((429, 500, 503)), headers={"retry-after": "1"})
        return self._rng.choice((refusal, Answer(fault=Fault.RESET_AFTER), Answer(delay=1.2)))


@dataclass(frozen=True)
class Scene:
    """Taskbell and everything around it, while it goes on and afterwards."""

    taskbell: Installation
    sandbox: Sandbox
    chronicles: dict[str, Chronicle]
    receiver: MoodyReceiver
    post: Post
    firm: Firm

    async def events(self) -> list[asyncpg.Record]:
        """The changes of tasks, in order, without alarms and schedules."""
        return await self.taskbell.query(
            "SELECT * FROM events WHERE cause NOT IN ('clock', 'signal') ORDER BY account, task, id"
        )

    async def story(self, account: str, task: str) -> str:
        """Every event of one task, a line each, to read when a law is broken."""
        rows = await self.taskbell.query(
            "SELECT * FROM events WHERE (account, task) = ($1, $2) ORDER BY id", account, task
        )
        return "\n".join(str(dict(row)) for row in rows)

    async def deliveries(self, *rules: str) -> list[asyncpg.Record]:
        return await self.taskbell.query(
            "SELECT * FROM deliveries WHERE rule = ANY ($1) ORDER BY id", rules
        )


@pytest.mark.crash
@pytest.mark.timeout(SECONDS + 2 * PATIENCE)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_bad_day_ends_well(seed: int, folder: Path) -> None:
    """Whatever failed and died: all is known, all was told once, and nothing is without an end."""
    async with scene(folder, seed) as one:
        one.firm.furnish(FURNITURE)
        await eventually(lambda: has_baseline(one.taskbell), PATIENCE)
        await one.firm.live(SECONDS, DISASTERS)
        await one.firm.calm_down()
        one.receiver.calm = True
        await one.post.delivered()
        await everything_settled(one)

        await what_is_known_is_what_is(one)
        await events_tell_a_true_story(one)
        await each_event_was_told_once(one)
        await who_listened_knows_what_is_done(one)
        await slack_shows_what_is_done(one)
        await no_customer_heard_twice(one)
        no_customer_heard_what_was_not_so(one)
        await whoever_was_to_hear_was_thought_of(one)
        await nothing_was_made_twice(one)
        await whatever_was_not_sent_says_why(one)
        await no_webhook_is_lost(one)


async def what_is_known_is_what_is(one: Scene) -> None:
    """Every task that there is, and no other."""
    rows = await one.taskbell.query("SELECT * FROM tasks WHERE deleted_at IS NULL")
    known = {(row["account"], row["id"]): told(orjson.loads(row["snapshot"])) for row in rows}
    assert known == {
        (name, task_id): told(chronicle.now(task_id))
        for name, chronicle in one.chronicles.items()
        for task_id in chronicle.system.tasks
    }


async def events_tell_a_true_story(one: Scene) -> None:
    """Each look begins where the one before ended, and what it saw was so, in that order."""
    stories = {
        key: _looks(row for row in rows if not _is_heard_late(row))
        for key, rows in groupby(await one.events(), lambda row: (row["account"], row["task"]))
    }
    for name, chronicle in one.chronicles.items():
        for number, (task_id, states) in enumerate(chronicle.history.items()):
            looks = stories.pop((name, task_id), [])
            real = [told(state) for state in states]
            was_there = number < FURNITURE
            first = real[0] if was_there else None
            assert [before for before, _ in looks] == [first, *(after for _, after in looks)][
                : len(looks)
            ]
            rest = iter(real)
            assert all(after in rest for _, after in looks), "told in another order than it was"
            assert (looks[-1][1] if looks else first) == real[-1]
    assert not stories, "told of tasks that never were"


def _looks(rows: Any) -> list[tuple[Any, Any]]:
    """What was known before and after each look that made events.

    Of a task that was done, and is open again for a later date, it made two: both begin where the
    look began, and what is last is what was seen.
    """
    seen = groupby(rows, lambda row: (row["at"], row["before"]))
    ends = ((before, list(events)[-1]["after"]) for (_, before), events in seen)
    return [
        (told(orjson.loads(before or "null")), told(orjson.loads(after or "null")))
        for before, after in ends
    ]


def _is_heard_late(row: Any) -> bool:
    """Whether it is a completion that was told of a task seen to be open, for a later date, before.

    The task may have been opened again and put off, or be a recurring one.
    """
    if row["kind"] != "completed" or row["before"] is None:
        return False
    before, after = (Task.from_json(row[name]) for name in ("before", "after"))
    return moved(after, before, row["at"]) is not None


async def each_event_was_told_once(one: Scene) -> None:
    """By one message, which arrived; the same again has the same key."""
    events = [row["id"] for row in await one.events() if row["kind"] in TOLD]
    deliveries = await one.deliveries(*TOLD)
    assert sorted(row["event"] for row in deliveries) == sorted(events)
    assert {row["state"] for row in deliveries} == {"sent"}
    keys = {request.headers["webhook-id"] for request in one.receiver.requests}
    assert keys == {str(row["key"]) for row in deliveries}


async def who_listened_knows_what_is_done(one: Scene) -> None:
    """Of each task the last that the receiver heard is whether it is there, and done."""
    heard: dict[tuple[str, str], tuple[str, Any]] = {}
    late = {row["id"] for row in await one.events() if _is_heard_late(row)}
    bodies = (one.json for one in one.receiver.requests)
    for body in sorted((each for each in bodies if _number(each) not in late), key=_number):
        task = body["data"]["task"]
        heard[task["account"], task["id"]] = body["type"], task["done"]
    for (name, task_id), (kind, done) in heard.items():
        task = one.chronicles[name].now(task_id)
        story = await one.story(name, task_id)
        if task is None:
            assert kind == "task.deleted", story
        else:
            assert (kind == "task.deleted", done) == (False, task["done"]), story


def _number(body: Any) -> int:
    return int(body["data"]["event"]["id"])


async def slack_shows_what_is_done(one: Scene) -> None:
    """Every completion was posted once, and the post of one that was undone says so.

    One stands although the task is open if that is for a later date: it may come again and again.
    """
    posts = one.sandbox.slack.posted.values()
    keys = Counter(post["metadata"]["event_payload"]["key"] for post in posts)
    assert set(keys.values()) <= {1}, "posted twice"
    standing = Counter(post["text"] for post in posts if "No longer true" not in post["text"])
    done = Counter[str]()
    for row in await one.events():
        change = {"completed": 1, "reopened": -1}.get(row["kind"], 0)
        done[f"{row['account']} {row['task']}"] += change
    assert standing == +done


async def no_customer_heard_twice(one: Scene) -> None:
    """What is sent arrived, what is unknown may have, and nothing else did."""
    notifications = one.sandbox.kickserv.record.notifications
    heard = Counter((told.task_id, told.notification) for told in notifications)
    assert set(heard.values()) <= {1}
    rows = await one.deliveries("booked", "on-the-way")
    sent = {(row["task"], row["target"]) for row in rows if row["state"] == "sent"}
    unknown = {(row["task"], row["target"]) for row in rows if row["state"] == "unknown"}
    assert sent <= heard.keys() <= sent | unknown


def no_customer_heard_what_was_not_so(one: Scene) -> None:
    """When the system was asked, just before, the visit was open, and about to be if that was said.

    A slow call arrives when it does: what changes on its way cannot be taken back.
    """
    visits = one.chronicles["kickserv"]
    for heard in one.sandbox.kickserv.record.notifications:
        states = visits.between(heard.task_id, heard.at - ON_ITS_WAY, heard.at)
        limit = heard.at + AHEAD if heard.notification == "on_the_way" else None
        assert any(allows(state, limit) for state in states), (heard, states)


def allows(visit: Any, limit: datetime | None) -> bool:
    """Whether customers may be told of a visit, which is to begin before the limit."""
    if visit is None or visit["done"]:
        return False
    return limit is None or (visit["assignee"] and datetime.fromisoformat(visit["start"]) <= limit)


async def whoever_was_to_hear_was_thought_of(one: Scene) -> None:
    """Of each visit that is new, and of each of these that begins within half an hour.

    What came to pass before Taskbell, or while a visit was thrown away, is past for good.
    """
    visits, told = one.chronicles["kickserv"], dict[str, set[str]]()
    for row in await one.events():
        told.setdefault(row["task"], set()).add(row["kind"])
    new = {task_id for task_id, kinds in told.items() if "created" in kinds}
    gone = {task_id for task_id, kinds in told.items() if "restored" in kinds}
    there = {task_id: visits.now(task_id) for task_id in visits.system.tasks.keys() & new}
    soon = f"{SystemClock().now() + timedelta(minutes=29):%Y-%m-%dT%H:%M:%SZ}"
    begin_soon = {key for key, one in there.items() if not one["done"] and one["start"] < soon}
    assert there.keys() <= {row["task"] for row in await one.deliveries("booked")}
    assert begin_soon - gone <= {row["task"] for row in await one.deliveries("on-the-way")}


async def nothing_was_made_twice(one: Scene) -> None:
    """Although answers were lost after the task was made."""
    history = one.chronicles["rolodex"].history.values()
    made = Counter(states[0]["title"] for states in history)
    invoices = {title: times for title, times in made.items() if title.startswith("Invoice")}
    assert set(invoices.values()) <= {1}, await _of_invoices(one, invoices)
    rows = await one.deliveries("invoice")
    sent = {f"Invoice for {row['task']}" for row in rows if row["state"] == "sent"}
    assert sent == invoices.keys()


async def _of_invoices(one: Scene, invoices: Mapping[str, int]) -> str:
    """Every attempt to make what was made twice, and what became of it, to read."""
    chronicle = one.chronicles["rolodex"]
    twice = {title for title, times in invoices.items() if times > 1}
    made = [
        f"{task_id} {chronicle.since[task_id][0]:%T.%f} {states}"
        for task_id, states in chronicle.history.items()
        if states[0]["title"] in twice
    ]
    tried = await one.taskbell.query(
        "SELECT deliveries.*, attempts.* FROM deliveries LEFT JOIN attempts ON delivery = id"
        " WHERE rule = 'invoice' AND task = ANY ($1) ORDER BY id, number",
        [title.removeprefix("Invoice for ") for title in twice],
    )
    return "\n".join([*made, *(str(dict(row)) for row in tried)])


async def whatever_was_not_sent_says_why(one: Scene) -> None:
    rows = await one.taskbell.query(
        "SELECT id, rule, state FROM deliveries"
        " WHERE settled_at IS NULL OR state <> 'sent' AND coalesce(reason, '') = ''"
    )
    assert rows == []


async def no_webhook_is_lost(one: Scene) -> None:
    """Each that was acknowledged is done, or set aside with the reason."""
    rows = await one.taskbell.query(
        "SELECT id FROM receipts WHERE state = 'done' OR state = 'poison' AND reason <> ''"
    )
    assert one.post.acknowledged
    assert one.post.acknowledged <= {row["id"] for row in rows}


async def has_baseline(taskbell: Installation) -> bool:
    """Whether every account has been read as a whole."""
    try:
        rows = await taskbell.query("SELECT FROM accounts WHERE baseline_at IS NOT NULL")
    except (asyncpg.PostgresError, OSError):
        return False
    return len(rows) == len(systems())


async def everything_settled(one: Scene) -> None:
    """Wait until every system was read as a whole once more, and nothing is left to be done."""
    since = SystemClock().now()
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while left := await still_open(one.taskbell, since):
        assert asyncio.get_running_loop().time() < deadline, f"still open: {left}"
        await asyncio.sleep(0.5)


async def still_open(taskbell: Installation, since: datetime) -> object:
    """What is not done yet, by what it is."""
    try:
        await hours_pass(taskbell)
        rows = await taskbell.query(
            """
            SELECT 'receipt' AS what, count(*) FROM receipts WHERE state = 'pending'
            UNION ALL SELECT 'lookup: ' || coalesce(max(error), ''), count(*) FROM lookups
            UNION ALL SELECT 'alarm', count(*) FROM tasks WHERE next_alarm <= now()
            UNION ALL SELECT 'account: ' || coalesce(max(error), ''), count(*) FROM accounts
                WHERE scanned_at < $1 OR failures > 0
            UNION ALL SELECT state || ': ' || coalesce(reason, ''), count(*) FROM deliveries
                WHERE settled_at IS NULL GROUP BY state, reason
            """,
            since,
        )
    except (asyncpg.PostgresError, OSError) as error:
        return error
    return {row["what"]: row["count"] for row in rows if row["count"]}


async def hours_pass(taskbell: Installation) -> None:
    """Nobody wants to wait: what failed is due again, and a poll that gave no sign of life is dead.

    One that lives renews its lease of 30 s every two seconds. Other leases are short.
    """
    for statement in (
        "UPDATE deliveries SET next_attempt_at = now() WHERE next_attempt_at > now()",
        "UPDATE lookups SET next_attempt_at = now() WHERE next_attempt_at > now()",
        "UPDATE rate_limits SET refused_until = now() WHERE refused_until > now()",
        "UPDATE target_turns SET turn = now() WHERE turn > now()",
        "UPDATE accounts SET next_poll_at = now() WHERE failures > 0",
        "UPDATE accounts SET lease_until = now() WHERE lease_until < now() + interval '22s'",
    ):
        await taskbell.query(statement)


@asynccontextmanager
async def scene(folder: Path, seed: int) -> AsyncIterator[Scene]:
    """A firm with accounts of all systems, and a Taskbell that has just been started."""
    clock, sandbox = SystemClock(), Sandbox(SystemClock())
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(sandbox))
        receiver = await stack.enter_async_context(MoodyReceiver(_dice(seed)))
        client = await stack.enter_async_context(open_client(LOOPBACK))
        configuration = CONFIGURATION.format(
            accounts="\n".join(f"  {name}: {_account(name, address)}" for name in systems()),
            stories="".join(STORY.format(kind=kind) for kind in TOLD),
            sandbox=address,
            receiver=receiver.url,
        )
        taskbell = await stack.enter_async_context(installed(folder, configuration))
        chronicles = {
            name: Chronicle(system, connect(name, clock, client, f"{address}/{name}", name=name))
            for name, system in sandbox.systems.items()
        }
        post = Post(taskbell.url, _dice(seed))
        firm = Firm(_dice(seed), sandbox, chronicles, taskbell, post)
        yield Scene(taskbell, sandbox, chronicles, receiver, post, firm)


def _dice(seed: int) -> Random:
    """For each who decides something by chance their own: they do not wait for each other."""
    return Random(seed)  # noqa: S311 (chance is wanted that can be had again)


def _account(system: str, url: str) -> str:
    given = {name: value for name, value in sample(system, "account").items() if name != "name"}
    there = {"system": system, "base_url": f"{url}/{system}", "timeout": "1s"}
    pace = {"poll": "1s", "full_scan": "4s", "per_minute": 100000, "stretch": 2}
    webhook = {"webhook": {"verify": "plannr", "secret": SECRET}}
    return orjson.dumps({**given, **there, **pace, **webhook}).decode()
