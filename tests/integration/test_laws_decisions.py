"""Laws 10 and 13: decisions can be made again, plans end in time, and every end has a reason."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.clock import VirtualClock
from service.config import Config
from service.domain.actors import Actor
from service.domain.model import Cause, Event, Kind, Task
from service.outbox import NotPossible, operator_actions
from service.rules.ruleset import Ruleset
from service.store import Pool
from service.store.events import event_from
from service.store.tasks import read_task
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer
from tests.harness.rule_files import configured
from tests.harness.tasks import START, tasks

NEW_YORK = ZoneInfo("America/New_York")
DIVERSE = """
- { id: made, when: task.created, then: [{ notify: accounting }] }
- id: done
  when: task.completed
  if: has(task.completed_at) && task.completed_at > timestamp("2020-01-01T00:00:00Z")
  then:
    - { notify: "slack:#office", text: "{{ task.title }} {{ now | local }}", on_undo: update }
    - { create_task: { title: "Bill {{ task.title }}", due: 1 business day } }
- id: moved
  when: { task.changed: [start, due, title, tags] }
  hours: office
  expires: 3h
  once_per: [task.id, task.title]
  then:
    - { notify: "email:{{ task.assignee.email }}", subject: S, text: "{{ before.title }}" }
    - wait: 2 business hours
    - { notify: customer:details }
- { id: late, when: { task.overdue: 2h }, if: "has(task.assignee)",
    then: [{ notify: "slack:@{{ task.assignee.email }}", text: "{{ task.due | local }}" }] }
"""
kinds_of_events = st.sampled_from(
    [Kind.CREATED, Kind.COMPLETED, Kind.RESCHEDULED, Kind.CHANGED, Kind.OVERDUE]
)


@pytest.fixture(scope="module")
def decided_by(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return configured(tmp_path_factory.mktemp("rules"), DIVERSE)


@given(
    before=tasks,
    after=tasks,
    kind=kinds_of_events,
    hours=st.integers(-1000, 1000),
    names=st.sets(st.sampled_from(["start", "due", "title", "tags", "done"])),
)
def test_law_10_a_stored_event_is_decided_the_same_again(
    decided_by: Config, before: Task, after: Task, kind: Kind, hours: int, names: set[str]
) -> None:
    """An event that was written down and read back, under rules read anew: the same verdicts."""
    now = START + timedelta(hours=hours)
    alarm = "overdue:due+7200s" if kind is Kind.OVERDUE else None
    event = Event(
        7, "field", "T1", kind, now, Cause.POLL, before, after, tuple(sorted(names)), alarm
    )
    stored = Event(
        7,
        "field",
        "T1",
        kind,
        now,
        Cause.POLL,
        Task.from_json(before.to_json()),
        Task.from_json(after.to_json()),
        tuple(sorted(names)),
        alarm,
    )
    rules = decided_by.rules
    once = rules.decide(event, now, NEW_YORK)
    again = rules.decide(stored, now, NEW_YORK)
    assert orjson.dumps(list(map(str, once))) == orjson.dumps(list(map(str, again)))


async def test_law_10_history_replayed_gives_the_recorded_decisions(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """From the tables alone each recorded decision comes out again, to the letter."""
    async with corridor(folder, pool, clock, EVERYTHING) as taskbell:
        await taskbell.begin()
        visit = taskbell.visit()
        for change in ({"name": "other"}, {"completed_on": "2026-03-06"}, {"completed_on": None}):
            await taskbell.webhook(visit)
            clock.advance(timedelta(minutes=7))
            taskbell.sandbox.kickserv.change(str(visit["id"]), **change)
        await taskbell.poll()
        await taskbell.tick(days=2)
        rows = await pool.fetch(
            """
            SELECT events.*, event, decisions.rule, outcome, reason, decisions.at AS now,
                   version
            FROM decisions JOIN events ON events.id = decisions.event
            JOIN rulesets ON version = decisions.rules_version ORDER BY decisions.id
            """
        )
        assert len(rows) >= 5
        rules = taskbell.config.rules
        for row in rows:
            event = event_from(row, read_task(row["before"]), read_task(row["after"]))
            verdicts = rules.decide(event, row["now"], NEW_YORK)
            found = {one.rule: (one.outcome, one.reason) for one in verdicts}
            assert found[row["rule"]] == (row["outcome"], row["reason"])
            assert row["version"] == Ruleset([], rules.text).version


EVERYTHING = """
- { id: made, when: task.created, then: [{ notify: accounting }] }
- { id: renamed, when: { task.changed: [title] }, once_per: task.id,
    then: [{ notify: "slack:#office", text: "{{ before.title }} -> {{ task.title }}" }] }
- { id: done, when: task.completed,
    then: [{ notify: "slack:#office", text: "{{ task.title }} done", on_undo: update }] }
- { id: again, when: task.reopened, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, hours: office,
    then: [{ notify: accounting }, { wait: 2h }, { notify: "slack:#dispatch", text: open }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync, on a Friday at 7 in the morning in New York."""
    async with corridor(folder, pool, clock, EVERYTHING) as running:
        await running.begin()
        yield running


async def end(taskbell: Corridor, rule: str) -> tuple[str, str]:
    """How the last delivery of a rule ended, and why."""
    delivery = (await taskbell.deliveries(rule))[-1]
    return delivery["state"], delivery["reason"]


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of March 2026 in New York."""
    return datetime(2026, 3, day, hour, minute, tzinfo=NEW_YORK)


async def late_visit(taskbell: Corridor, due: datetime) -> str:
    """A visit that ends at `due` and is still open then; its id, when the clock has rung."""
    visit = taskbell.visit(scheduled_at=due - timedelta(hours=1), ends_at=due)
    await taskbell.webhook(visit)
    taskbell.clock.set(due.astimezone(UTC))
    await taskbell.tick(seconds=1)
    return str(visit["id"])


async def test_held_until_the_office_opens(taskbell: Corridor) -> None:
    """Overdue on Friday evening: held over the weekend and a change of the clocks, then sent."""
    await late_visit(taskbell, at(6, 18))
    assert await taskbell.states("late") == ["held", "planned"]
    await taskbell.deliver()
    sent = len(taskbell.accounting.requests)
    taskbell.clock.set(at(9, 7, 59).astimezone(UTC))
    await taskbell.deliver()
    assert len(taskbell.accounting.requests) == sent
    taskbell.clock.set(at(9, 8).astimezone(UTC))
    await taskbell.deliver()
    assert await taskbell.states("late") == ["sent", "planned"]
    taskbell.clock.set(at(9, 10).astimezone(UTC))
    await taskbell.deliver()
    assert taskbell.posts == ["open"]


@pytest.mark.parametrize("what", ["completed", "rescheduled", "deleted"])
async def test_what_waits_is_withdrawn(what: str, taskbell: Corridor) -> None:
    """Done, put off or gone before it went out: nothing is sent, and it says why."""
    number = await late_visit(taskbell, at(6, 18))
    kickserv = taskbell.sandbox.kickserv
    taskbell.clock.advance(timedelta(minutes=1))
    if what == "completed":
        kickserv.finish(number)
    elif what == "rescheduled":
        kickserv.change(number, scheduled_at=at(20, 9), ends_at=at(20, 10))
    else:
        kickserv.delete(number)
    await taskbell.webhook({"id": number})
    await taskbell.look_up()
    assert await taskbell.states("late") == ["cancelled", "cancelled"]
    assert await end(taskbell, "late") == ("cancelled", f"cancelled: the task was {what}")


async def test_what_was_withdrawn_does_not_count_as_sent(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Ticked off by mistake over the weekend: the nudge that was withdrawn is planned anew."""
    rules = """
    - { id: nudge, when: task.overdue, hours: office, once_per: [task.id, task.due],
        then: [{ notify: accounting }] }
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        number = await late_visit(taskbell, at(6, 18))
        clock.advance(timedelta(hours=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
        clock.advance(timedelta(hours=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.change(number, completed_on=None))
        await taskbell.tick(seconds=1)
        assert await taskbell.states() == ["cancelled", "held"]
        [withdrawn, _] = await taskbell.deliveries()
        with pytest.raises(NotPossible, match="already created the same message again"):
            await operator_actions.retry(pool, clock, withdrawn["id"], by=Actor("Ann"))
        clock.set(at(9, 8).astimezone(UTC))
        await taskbell.deliver()
        assert await taskbell.states() == ["cancelled", "sent"]
        assert len(taskbell.accounting.requests) == 1


async def test_once_per_over_repeated_events(taskbell: Corridor) -> None:
    """The second renaming matches and is not sent; the decision says which step and why."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    for name in ("one", "two"):
        taskbell.clock.advance(timedelta(minutes=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.change(str(visit["id"]), name=name))
        await taskbell.deliver()
    assert await taskbell.states("renamed") == ["sent"]
    assert (await taskbell.reasons())[-1] == (
        "task.changed; step 1 not sent again: planned or sent before (`once_per`)"
    )


async def test_until_ends_a_wait(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """A change that makes `until` true withdraws what the rule still has pending."""
    rules = """
    - id: chase
      when: task.created
      then: [{ wait: 2h }, { notify: "slack:#office", text: "nobody took it" }]
      until: has(task.assignee)
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        visits = [taskbell.visit(employees=[]) for _ in range(2)]
        for visit in visits:
            await taskbell.webhook(visit)
        clock.advance(timedelta(hours=1))
        taken = taskbell.sandbox.kickserv.change(
            str(visits[0]["id"]), employees=[{"id": 1, "employee_number": 1, "first_name": "Bo"}]
        )
        await taskbell.webhook(taken)
        clock.advance(timedelta(hours=2))
        await taskbell.deliver()
        assert await taskbell.states() == ["cancelled", "sent"]
        assert (await taskbell.deliveries())[0][
            "reason"
        ] == "cancelled: no longer needed, as the rule says for this task now (`until`)"


async def test_expires(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """What could not go out in time goes out no more, and what came too late never does."""
    rules = """
    - { id: brief, when: { task.starting_soon: 30m }, expires: 20m,
        then: [{ notify: customer:on_the_way }] }
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        for minutes in (60, 120):
            start = clock.now() + timedelta(minutes=minutes)
            await taskbell.webhook(taskbell.visit(scheduled_at=start))
        await taskbell.tick(minutes=30)
        clock.advance(timedelta(minutes=21))
        await taskbell.deliver()
        await taskbell.tick(minutes=64)
        assert await taskbell.states() == ["expired", "skipped"]
        first, second = await taskbell.deliveries()
        assert first["reason"].startswith("too late: it had to be sent by 2026-03-06 12:51 UTC")
        assert second["reason"] == "too late: the rule's `expires` time had already passed"
        assert taskbell.told == []


async def test_nobody_to_send_it_to(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """A target that comes out empty is a skipped delivery with its reason."""
    rules = """
    - { id: yours, when: task.created,
        then: [{ notify: "slack:@{{ task.assignee.email }}", text: "yours" }] }
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit(employees=[]))
        state, reason = await end(taskbell, "yours")
        assert state == "skipped"
        assert "nobody to send to: " in reason


async def finished(taskbell: Corridor) -> str:
    """A visit that is known, and has just been finished; its id."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(str(visit["id"])))
    return str(visit["id"])


async def reopen(taskbell: Corridor, number: str) -> None:
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(number, completed_on=None))


async def test_a_post_is_rewritten_when_its_cause_is_undone(taskbell: Corridor) -> None:
    """Finished, posted, reopened: the post says so; finished again: another post."""
    number = await finished(taskbell)
    await taskbell.deliver()
    assert taskbell.posts == ["Clean the gutters done"]
    await reopen(taskbell, number)
    await taskbell.deliver()
    assert taskbell.posts == ["No longer true (task was reopened): Clean the gutters done"]
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
    await taskbell.deliver()
    assert taskbell.posts[1:] == ["Clean the gutters done"]
    assert await taskbell.states("done") == ["sent", "sent", "sent"]


async def test_what_is_undone_before_it_went_out_stays_in(taskbell: Corridor) -> None:
    """Reopened while the post waits for its turn: nothing is posted, and it says why."""
    number = await finished(taskbell)
    await reopen(taskbell, number)
    await taskbell.deliver()
    assert taskbell.posts == []
    assert await end(taskbell, "done") == ("cancelled", "cancelled: the task was reopened")


async def test_a_post_that_may_be_out_is_rewritten_all_the_same(taskbell: Corridor) -> None:
    """Its answer was lost and it was reopened before the next attempt: found, then rewritten."""
    taskbell.slack.lose_answers(1)
    number = await finished(taskbell)
    await taskbell.deliver()
    await reopen(taskbell, number)
    for _ in range(3):
        await taskbell.deliver()
        taskbell.clock.advance(timedelta(minutes=10))
    assert taskbell.posts == ["No longer true (task was reopened): Clean the gutters done"]
    assert await taskbell.states("done") == ["sent", "sent"]


async def test_nothing_is_rewritten_if_the_post_failed(taskbell: Corridor) -> None:
    """Refused for good after the reopening: there is nothing to take back."""
    not_found = {"ok": True, "channels": []}
    refusal = {"ok": False, "error": "is_archived"}
    taskbell.slack.reply(Answer(500), Answer(body=not_found), Answer(body=refusal))
    number = await finished(taskbell)
    await taskbell.deliver()
    await reopen(taskbell, number)
    for _ in range(3):
        await taskbell.deliver()
        taskbell.clock.advance(timedelta(minutes=10))
    assert await taskbell.states("done") == ["failed", "cancelled"]
    assert await end(taskbell, "done") == (
        "cancelled",
        "nothing to rewrite: the message was never sent",
    )


async def test_law_13_everything_that_was_not_sent_says_why(taskbell: Corridor) -> None:
    """After a busy week no delivery has come to an end other than sent without a reason."""
    for hour in range(5):
        number = await late_visit(taskbell, at(6, 16 + hour))
        await reopen(taskbell, number)
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
    await taskbell.tick(days=7)
    await taskbell.deliver()
    silent = await taskbell.pool.fetch(
        "SELECT state FROM deliveries WHERE state <> 'sent' AND coalesce(reason, '') = ''"
    )
    assert silent == []
