"""Law 8, several tasks at once: what a digest tells a customer is asked just before it is sent."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.outbox import NotPossible, approvals, operator_actions, storms
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from tests.harness.corridor import Corridor, corridor, firm
from tests.harness.receivers import Answer
from workers.final_check import MOST_READ

IDA = {"id": 7, "name": "Ida", "email": "ida@customer.test", "phone": "+1 415 555 0100"}
BO = {**IDA, "id": 8, "name": "Bo", "email": "bo@customer.test"}
TEXT = (
    'text: "{{ group.size }}: '
    "{% for task in group.tasks %}{{ task.title }} {{ task.start | local: '%H:%M' }} {% endfor %}\""
)
BOOKED = """
- id: booked
  when: task.created
  if: has(task.customer) && has(task.customer.email) && task.title != "Secret"
  group: { by: task.customer.email, wait: 5m }
  expires: 6h
  then:
    - { notify: "accounting:{{ group.key }}", TEXT }
    - { notify: "slack:#office", text: "{{ group.size }} for {{ group.key }}" }
""".replace("TEXT", TEXT)


def with_flag(url: str) -> str:
    """The firm, where a field of Kickserv says who wants no messages."""
    return firm(url).replace("task_types:", "opted_out_field: no_mail, task_types:")


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with corridor(folder, pool, clock, BOOKED, with_flag) as running:
        await running.begin()
        yield running


async def booked(taskbell: Corridor, *names: str) -> list[str]:
    """Ida's visits of these names, told of in a digest that is to go out now; their ids."""
    visits = [taskbell.visit(name=name, customer=IDA) for name in names]
    await taskbell.webhook(visits)
    await taskbell.tick(minutes=6)
    assert told(taskbell) == []
    return [str(one["id"]) for one in visits]


def told(taskbell: Corridor) -> list[str]:
    """What customers were told."""
    return [one.json["data"]["text"].strip() for one in taskbell.accounting.requests]


async def to_customer(taskbell: Corridor) -> list[tuple[str, str]]:
    """State and reason of what was to reach her."""
    rows = [one for one in await taskbell.deliveries() if one["channel"] == "accounting"]
    return [(one["state"], one["reason"] or "") for one in rows]


async def pass_on(taskbell: Corridor, times: int = 4) -> None:
    """Send what is due, again and again."""
    for _ in range(times):
        await taskbell.deliver()
        taskbell.clock.advance(timedelta(minutes=2))


async def test_an_untouched_digest_goes_out_once(taskbell: Corridor) -> None:
    """Each of its tasks is read once, by its id, and then there is one message."""
    numbers = await booked(taskbell, "roof", "gutters")
    before = len(taskbell.sandbox.kickserv.record.requests)
    await pass_on(taskbell)
    assert told(taskbell) == ["2: roof 07:01 gutters 07:01"]
    asked = taskbell.sandbox.kickserv.record.requests[before:]
    assert len(asked) == 2
    assert all(number in one for number, one in zip(numbers, asked, strict=True))
    assert await taskbell.is_everything_sent()
    assert taskbell.posts == ["2 for ida@customer.test"]


def finish(taskbell: Corridor, number: str) -> None:
    taskbell.sandbox.kickserv.finish(number)


def delete(taskbell: Corridor, number: str) -> None:
    taskbell.sandbox.kickserv.delete(number)


def give_away(taskbell: Corridor, number: str) -> None:
    taskbell.sandbox.kickserv.change(number, customer=BO)


def rename(taskbell: Corridor, number: str) -> None:
    taskbell.sandbox.kickserv.change(number, name="Secret")


COVERED = "a new message covers the remaining tasks"
NOT_COVERED = "the remaining tasks could not be sent in a new message"
CHANGES: dict[Callable[[Corridor, str], None], str] = {
    finish: "the task is done",
    delete: "the task was deleted",
    give_away: "the task now belongs to another customer",
    rename: "the task no longer meets the rule's conditions"
    ' (has(task.customer) && has(task.customer.email) && task.title != "Secret" is not true)',
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
async def test_what_is_not_so_any_more_is_left_out_and_the_rest_is_told_anew(
    change: Callable[[Corridor, str], None], taskbell: Corridor
) -> None:
    """One of two visits is called off before the digest goes out: it tells of the other, once."""
    first, _ = await booked(taskbell, "roof", "gutters")
    change(taskbell, first)
    await pass_on(taskbell)
    assert told(taskbell) == ["1: gutters 07:01"]
    reason = f"cancelled: {first}: {CHANGES[change]}; {COVERED}"
    assert await to_customer(taskbell) == [("cancelled", reason), ("sent", "")]
    assert taskbell.posts[:1] == ["2 for ida@customer.test"]
    assert len([one for one in taskbell.posts if "ida@" in one]) == 1


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
async def test_a_digest_of_which_nothing_is_left_is_withdrawn(
    change: Callable[[Corridor, str], None], taskbell: Corridor
) -> None:
    """The reason names the task and what became of it."""
    [only] = await booked(taskbell, "roof")
    change(taskbell, only)
    await pass_on(taskbell)
    assert told(taskbell) == []
    assert await to_customer(taskbell) == [("cancelled", f"cancelled: {only}: {CHANGES[change]}")]


async def test_a_visit_that_was_moved_is_told_of_at_its_new_time(taskbell: Corridor) -> None:
    """It is still hers: the message is made anew, and the old time is told to nobody."""
    first, _ = await booked(taskbell, "roof", "gutters")
    later = taskbell.clock.now() + timedelta(hours=26, minutes=-6)
    taskbell.sandbox.kickserv.change(first, scheduled_at=later)
    await pass_on(taskbell)
    assert told(taskbell) == ["2: roof 09:01 gutters 07:01"]
    assert (await to_customer(taskbell))[0] == (
        "cancelled",
        f"cancelled: {first}: the task's start has changed; {COVERED}",
    )


async def test_who_has_opted_out_meanwhile_is_told_nothing(taskbell: Corridor) -> None:
    """Of none of her visits, whichever shows it."""
    first, _ = await booked(taskbell, "roof", "gutters")
    taskbell.sandbox.kickserv.change(first, customer={**IDA, "no_mail": True})
    await pass_on(taskbell)
    assert told(taskbell) == []
    assert await to_customer(taskbell) == [("skipped", "the customer has opted out of messages")]


async def test_nobody_is_written_to_at_an_address_that_is_not_theirs_any_more(
    taskbell: Corridor,
) -> None:
    """The digest goes by the address, and no visit has it any more: that is on record."""
    [only] = await booked(taskbell, "roof")
    new = {**IDA, "email": "ida@new.test"}
    taskbell.sandbox.kickserv.change(only, customer=new)
    await pass_on(taskbell)
    assert told(taskbell) == []
    [(state, reason)] = await to_customer(taskbell)
    assert state == "cancelled"
    assert (
        "the customer's address has changed; the remaining tasks could not be sent in a new message"
        in reason
    )
    assert "accounting:ida@customer.test is not a customer of the remaining tasks" in reason


async def test_nothing_of_a_digest_is_sent_blind(taskbell: Corridor) -> None:
    """While its tasks cannot be read it is held, and says why; then it goes out, once."""
    await booked(taskbell, "roof", "gutters")
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
    await pass_on(taskbell)
    [(state, reason)] = await to_customer(taskbell)
    assert state == "held"
    assert "could not yet (the task could not be read" in reason
    taskbell.sandbox.kickserv.faults.clear()
    await pass_on(taskbell)
    assert told(taskbell) == ["2: roof 07:01 gutters 07:01"]


async def test_a_digest_that_nobody_can_check_expires(taskbell: Corridor) -> None:
    """After the rule's six hours it is not wanted any more; the reason says what kept it."""
    await booked(taskbell, "roof")
    taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=100_000, method="GET"))
    await pass_on(taskbell)
    taskbell.clock.advance(timedelta(hours=6))
    await pass_on(taskbell)
    [(state, reason)] = await to_customer(taskbell)
    assert state == "expired"
    assert "too late: it had to be sent by" in reason
    assert "could not be read" in reason


async def test_what_is_told_anew_is_checked_as_well_and_expires_no_later(
    taskbell: Corridor,
) -> None:
    """A second change, before the new message goes out, counts like the first."""
    first, second, _ = await booked(taskbell, "roof", "gutters", "fence")
    finish(taskbell, first)
    lane = taskbell.worker.lanes["accounting"]
    await lane.batch()
    await lane.rest()
    delete(taskbell, second)
    await pass_on(taskbell)
    assert told(taskbell) == ["1: fence 07:01"]
    rows = [one for one in await taskbell.deliveries() if one["channel"] == "accounting"]
    assert [one["state"] for one in rows] == ["cancelled", "cancelled", "sent"]
    assert len({one["expires_at"] for one in rows}) == 1
    assert len({one["once_key"] for one in rows}) == 1


async def test_a_person_cannot_send_what_was_told_anew(taskbell: Corridor) -> None:
    """The old message has been replaced."""
    first, _ = await booked(taskbell, "roof", "gutters")
    finish(taskbell, first)
    await pass_on(taskbell)
    old = next(one for one in await taskbell.deliveries() if one["state"] == "cancelled")
    with pytest.raises(NotPossible, match="was replaced"):
        await operator_actions.retry(taskbell.pool, taskbell.clock, old["id"], by=Actor("Ann"))


async def test_a_schedule_that_tells_a_customer_of_several_is_checked(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What its `for_each` would not choose any more is left out, and the rest is told."""
    rules = f"""
- id: tomorrow
  when: {{ schedule: "0 9 * * *" }}
  for_each: tasks.filter(t, !t.done && has(t.start) && t.start < now + duration("24h"))
  group: {{ by: task.customer.id }}
  then: [{{ notify: "accounting:{{{{ group.tasks[0].customer.email }}}}", {TEXT} }}]
"""
    async with corridor(folder, pool, clock, rules) as taskbell:
        visits = [taskbell.visit(name=name, customer=IDA) for name in ("roof", "gutters", "fence")]
        first, second, third = (str(one["id"]) for one in visits)
        await taskbell.begin()
        await taskbell.tick(hours=2)
        finish(taskbell, first)
        later = taskbell.clock.now() + timedelta(days=3)
        taskbell.sandbox.kickserv.change(second, scheduled_at=later)
        await pass_on(taskbell)
        assert told(taskbell) == ["1: fence 07:00"]
        [(_, reason), _] = await to_customer(taskbell)
        assert f"{first}: the task is done" in reason
        assert f"{second}: the task no longer meets the rule's conditions (for_each no" in reason
        assert third not in reason


async def test_many_tasks_wait_for_a_complete_read_of_the_account(taskbell: Corridor) -> None:
    """More than can be read one by one: the account is read first, and what that finds counts."""
    numbers = await booked(taskbell, *(f"v{number}" for number in range(MOST_READ + 2)))
    delete(taskbell, numbers[0])
    await pass_on(taskbell)
    [(state, reason)] = await to_customer(taskbell)
    assert (state, told(taskbell)) == ("held", [])
    assert "it covers 22 tasks, so Taskbell reads the whole account first" in reason
    asked_at = await taskbell.pool.fetchval(
        "SELECT scan_asked_at FROM accounts WHERE name = $1", "field"
    )
    assert asked_at is not None
    before = len(taskbell.sandbox.kickserv.record.requests)
    await taskbell.poll_what_is_due()
    await taskbell.look_up()
    scanned = len(taskbell.sandbox.kickserv.record.requests)
    assert scanned > before
    await pass_on(taskbell)
    assert len(taskbell.sandbox.kickserv.record.requests) == scanned
    assert [one.partition(":")[0] for one in told(taskbell)] == ["21"]


async def test_what_an_approver_has_let_go_is_asked_about_anew_if_it_is_another(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The text that was approved is not the one that would go out: somebody reads that as well."""
    rules = BOOKED.replace(TEXT, f"{TEXT}, approve: slack:#dispatch")
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        first, _ = await booked(taskbell, "roof", "gutters")
        [asked] = [one for one in await taskbell.deliveries() if one["approver"]]
        await approvals.approve(pool, clock, asked["id"], by=Actor("Ann"))
        finish(taskbell, first)
        await pass_on(taskbell)
        assert told(taskbell) == []
        assert [one["state"] for one in await taskbell.deliveries() if one["approver"]] == [
            "cancelled",
            "held",
        ]
        await approvals.approve(
            pool, clock, (await taskbell.deliveries())[-2]["id"], by=Actor("Ann")
        )
        await pass_on(taskbell)
        assert told(taskbell) == ["1: gutters 07:01"]


async def test_what_a_storm_has_held_is_checked_when_it_is_let_go(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Two digests are a storm; a visit that is called off meanwhile is told of to nobody."""
    rules = BOOKED.replace("accounting:", "mail:") + "storm: { messages: 1, within: 10m }"
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        visits = [taskbell.visit(name=one["name"], customer=one) for one in (IDA, BO)]
        await taskbell.webhook(visits)
        await taskbell.tick(minutes=6)
        await taskbell.deliver()
        [storm] = await storms.read(pool)
        finish(taskbell, str(visits[0]["id"]))
        await storms.release(pool, clock, storm["id"], by=Actor("Ann"))
        await taskbell.deliver()
        mails = [one for one in await taskbell.deliveries() if one["channel"] == "mail"]
        # Nobody listens for mail here: Bo's was tried, Ida's was not.
        assert [(one["state"], one["attempts"]) for one in mails] == [
            ("cancelled", 0),
            ("planned", 1),
        ]


async def test_what_goes_out_instead_of_a_digest_that_failed_is_checked(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """It is not made anew: the reason says so, and names the task."""
    rules = f"""
- id: booked
  when: task.created
  if: has(task.customer) && has(task.customer.email)
  group: {{ by: task.customer.email, wait: 5m }}
  then:
    - notify: slack:#office
      text: "{{{{ group.size }}}}"
      on_fail: [{{ notify: "accounting:{{{{ group.key }}}}", {TEXT} }}]
"""
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        taskbell.slack.reply(Answer(body={"ok": False, "error": "is_archived"}))
        first, _ = await booked(taskbell, "roof", "gutters")
        finish(taskbell, first)
        await pass_on(taskbell)
        assert told(taskbell) == []
        reason = f"cancelled: {first}: the task is done; {NOT_COVERED}: "
        assert await to_customer(taskbell) == [
            ("cancelled", f"{reason}this message already replaces one that failed")
        ]


async def test_what_has_begun_meanwhile_is_not_announced(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Of two visits that were to begin soon the one that is to come is told of."""
    rules = BOOKED.replace("when: task.created", "when: { task.starting_soon: 30m }")
    async with corridor(folder, pool, clock, rules.replace("wait: 5m", "wait: 25m")) as taskbell:
        await taskbell.begin()
        start = taskbell.clock.now() + timedelta(minutes=40)
        for name, later in (("roof", 0), ("gutters", 20)):
            begins = start + timedelta(minutes=later)
            dates = {"scheduled_at": begins, "ends_at": begins + timedelta(hours=1)}
            await taskbell.webhook(taskbell.visit(name=name, customer=IDA, **dates))
        for minutes in (10, 20, 5):
            await taskbell.tick(minutes=minutes)
        taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
        await pass_on(taskbell)
        taskbell.sandbox.kickserv.faults.clear()
        await pass_on(taskbell)
        assert told(taskbell) == ["1: gutters 08:01"]
        (state, reason), _ = await to_customer(taskbell)
        assert state == "cancelled"
        assert (
            "too late: the task's start has passed; a new message covers the remaining tasks"
            in reason
        )


async def test_what_only_time_has_made_untrue_of_a_task_does_not_keep_a_digest(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A condition that spoke of the time was true when the visit joined: nothing has changed."""
    early = 'has(task.start) && task.start - now > duration("1438m")'
    rules = BOOKED.replace('task.title != "Secret"', early)
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await booked(taskbell, "roof")
        await pass_on(taskbell)
        assert told(taskbell) == ["1: roof 07:01"]


async def test_what_waits_for_the_office_to_open_is_read_anew_then(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """That it could not be read in the evening says nothing of how fresh a read is by morning."""
    rules = BOOKED.replace("  expires: 6h", "  expires: 3 days\n  hours: office")
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        taskbell.clock.advance(timedelta(hours=9, minutes=50))
        await booked(taskbell, "roof")
        taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
        await taskbell.deliver()
        [unread] = [one for one in await taskbell.deliveries() if one["channel"] == "accounting"]
        assert unread["unread_since"] is not None
        await taskbell.tick(minutes=10)
        await taskbell.deliver()
        [held] = [one for one in await taskbell.deliveries() if one["channel"] == "accounting"]
        assert (held["state"], held["unread_since"]) == ("held", None)
        assert "hours" in held["reason"]
