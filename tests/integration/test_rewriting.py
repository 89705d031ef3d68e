"""Law 8, the words: a message to a customer tells of the task as it is when it is sent."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.domain.actors import Actor
from service.outbox import approvals, operator_actions
from service.processes.embedded import EmbeddedValkey
from service.simulator import Simulator
from service.simulator.upcoming import upcoming
from service.store import Pool
from tests.harness.corridor import Corridor, begun
from tests.harness.receivers import Answer, Fault
from tests.harness.site import serving

IDA = {"id": 7, "name": "Ida", "email": "ida@customer.test", "phone": "+1 415 555 0100"}
ZONE = ZoneInfo("America/New_York")
TO_IDA = 'notify: "accounting:{{ task.customer.email }}"'
BOOKED = f"""
- id: booked
  when: task.created
  then:
    - wait: 1h
    - {{ {TO_IDA}, text: "Booked for {{{{ task.start | local: '%d' }}}}" }}
"""
MOVED = f"""
- id: moved
  when: task.rescheduled
  once_per: [task.id]
  then:
    - wait: 1h
    - {TO_IDA}
      text: "From {{{{ before.start | local: '%d' }}}} to {{{{ task.start | local: '%d' }}}}"
"""
APPROVED = f"""
- id: booked
  when: task.created
  then:
    - {TO_IDA}
      text: "Booked for {{{{ task.start | local: '%d' }}}}"
      approve: slack:#dispatch
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, BOOKED) as running:
        yield running


async def book(taskbell: Corridor, days: int = 3, name: str = "roof") -> str:
    """Ida's visit is made, to begin in so many days; its id."""
    made = taskbell.visit(name=name, customer=IDA, **dates(taskbell, days))
    await taskbell.webhook(made)
    return str(made["id"])


def dates(taskbell: Corridor, days: float) -> dict[str, datetime]:
    start = taskbell.clock.now().replace(minute=0) + timedelta(days=days)
    return {"scheduled_at": start, "ends_at": start + timedelta(hours=1)}


async def move(taskbell: Corridor, task_id: str, days: float) -> None:
    """A minute later it is put off, to begin in so many days."""
    taskbell.clock.advance(timedelta(minutes=1))
    there = taskbell.sandbox.kickserv
    await taskbell.webhook(there.change(task_id, **dates(taskbell, days)))


async def pass_on(taskbell: Corridor, **time: float) -> None:
    await taskbell.tick(**time)
    await taskbell.deliver()


def told(taskbell: Corridor) -> list[str]:
    """What Ida was told."""
    return [one.json["data"]["text"] for one in taskbell.accounting.requests]


def on_day(taskbell: Corridor, days: int) -> str:
    """The day of the month that is so many days from now, where the firm is."""
    return f"{(taskbell.clock.now() + timedelta(days=days)).astimezone(ZONE):%d}"


async def ends(taskbell: Corridor, rule: str | None = None) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries(rule)]


async def test_a_booking_that_waits_is_told_with_the_time_it_has_by_then(
    taskbell: Corridor,
) -> None:
    """Moved during the wait: the new time is sent, the record has it, and says what it was."""
    task_id = await book(taskbell)
    [planned] = await taskbell.deliveries()
    await move(taskbell, task_id, days=5)
    await pass_on(taskbell, hours=1)
    [request] = taskbell.accounting.requests
    [sent] = await taskbell.deliveries()
    assert told(taskbell) == [f"Booked for {on_day(taskbell, 5)}"] == [sent["text"]]
    assert planned["text"] == f"Booked for {on_day(taskbell, 3)}"
    assert request.json["data"]["task"] == await taskbell.snapshot(task_id)
    assert (sent["state"], sent["id"]) == ("sent", planned["id"])
    then, now = (f"{dates(taskbell, days)['scheduled_at']:%Y-%m-%d}" for days in (3, 5))
    assert sent["reason"] == (
        f"the text was brought up to date: start changed from {then} 12:00 UTC to {now} 12:00 UTC"
    )


async def test_a_reason_shows_what_somebody_typed_as_text(taskbell: Corridor) -> None:
    """The beginning of a long title, and the names of marks that turn the text around them."""
    await taskbell.restart(BOOKED.replace("start | local: '%d'", "title"))
    task_id = await book(taskbell)
    title = "<b>\u202e" + "x" * 500
    await taskbell.webhook(taskbell.sandbox.kickserv.change(task_id, name=title))
    await pass_on(taskbell, hours=1)
    [(_, reason)] = await ends(taskbell)
    shown = "<b>\\u202e" + "x" * 51
    assert reason == f"the text was brought up to date: title changed from roof to {shown}…"


async def test_what_nobody_announced_is_told_as_well(taskbell: Corridor) -> None:
    """Taskbell learns of the move only when it asks, just before it sends."""
    task_id = await book(taskbell)
    taskbell.sandbox.kickserv.change(task_id, **dates(taskbell, 5))
    await pass_on(taskbell, hours=1)
    assert told(taskbell) == [f"Booked for {on_day(taskbell, 5)}"]


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_message_follows_the_customer_to_a_new_address(
    taskbell: Corridor, *, is_announced: bool
) -> None:
    """The address changes during the wait: one message goes out, and to the new one."""
    task_id = await book(taskbell)
    moved_away = {**IDA, "email": "ida@new.test"}
    changed = taskbell.sandbox.kickserv.change(task_id, customer=moved_away)
    if is_announced:
        await taskbell.webhook(changed)
    await pass_on(taskbell, hours=1)
    await pass_on(taskbell, minutes=1)
    assert len(told(taskbell)) == 1
    [old, new] = await taskbell.deliveries()
    assert (old["state"], old["target"]) == ("cancelled", "ida@customer.test")
    assert old["reason"].startswith(
        "cancelled: the customer's address has changed, and a new message goes there"
    )
    assert (new["state"], new["target"]) == ("sent", "ida@new.test")


async def test_a_retry_goes_to_the_new_address(taskbell: Corridor) -> None:
    """The first attempt failed, and the address has changed since."""
    task_id = await book(taskbell)
    taskbell.accounting.reply(Answer(503))
    await pass_on(taskbell, hours=1)
    changed = {**IDA, "email": "ida@new.test"}
    taskbell.sandbox.kickserv.change(task_id, customer=changed)
    await pass_on(taskbell, minutes=1)
    await pass_on(taskbell, minutes=1)
    assert [(one["state"], one["target"]) for one in await taskbell.deliveries()] == [
        ("cancelled", "ida@customer.test"),
        ("sent", "ida@new.test"),
    ]


async def test_an_address_in_another_spelling_is_told_once(taskbell: Corridor) -> None:
    """The system writes it in capitals now: Ida gets one message."""
    task_id = await book(taskbell)
    taskbell.sandbox.kickserv.change(task_id, customer={**IDA, "email": "IDA@customer.test"})
    await pass_on(taskbell, hours=1)
    await pass_on(taskbell, minutes=1)
    assert len(told(taskbell)) == 1


async def test_a_message_to_an_address_that_was_taken_away_is_not_sent(taskbell: Corridor) -> None:
    """The customer has none by then: nobody gets the message, and the record says why."""
    task_id = await book(taskbell)
    taskbell.sandbox.kickserv.change(task_id, customer={**IDA, "email": None})
    await pass_on(taskbell, hours=1)
    await pass_on(taskbell, minutes=1)
    assert told(taskbell) == []
    [(old, _), (new, why)] = await ends(taskbell)
    assert (old, new) == ("cancelled", "skipped")
    assert why is not None
    assert "task.customer.email" in why


async def test_nothing_goes_to_an_old_address_if_its_rule_is_gone(taskbell: Corridor) -> None:
    """The rule that would know the new address was removed: the message ends, and says why."""
    task_id = await book(taskbell)
    taskbell.sandbox.kickserv.change(task_id, customer={**IDA, "email": "ida@new.test"})
    await taskbell.restart(BOOKED.replace("booked", "other"))
    await pass_on(taskbell, hours=1)
    assert told(taskbell) == []
    [(state, why)] = await ends(taskbell)
    assert state == "cancelled"
    assert why is not None
    assert "the task's customer's address has changed" in why


async def test_an_approved_message_to_an_old_address_is_approved_again(
    taskbell: Corridor,
) -> None:
    """The approver has said yes to the old address; the new one is for them to decide on."""
    await taskbell.restart(APPROVED)
    task_id = await book(taskbell)
    await taskbell.deliver()
    taskbell.sandbox.kickserv.change(task_id, customer={**IDA, "email": "ida@new.test"})
    [held, _] = await taskbell.deliveries()
    await approvals.approve(taskbell.pool, taskbell.clock, held["id"], by=Actor("Bo"))
    await pass_on(taskbell, minutes=1)
    assert told(taskbell) == []
    assert [
        (one["state"], one["target"]) for one in await taskbell.deliveries() if one["approver"]
    ] == [("cancelled", "ida@customer.test"), ("held", "ida@new.test")]


async def test_a_change_that_the_text_does_not_show_changes_nothing(taskbell: Corridor) -> None:
    """It has another title: what was planned is sent, and there is nothing to say of it."""
    task_id = await book(taskbell)
    await taskbell.webhook(taskbell.sandbox.kickserv.change(task_id, name="gutters"))
    await pass_on(taskbell, hours=1)
    assert told(taskbell) == [f"Booked for {on_day(taskbell, 3)}"]
    assert await ends(taskbell) == [("sent", None)]


async def test_a_move_that_no_other_message_tells_is_told_from_where_it_was(
    taskbell: Corridor,
) -> None:
    """Once per visit, and moved twice: from the day that the customer knows to the last one."""
    await taskbell.restart(MOVED)
    task_id = await book(taskbell)
    await move(taskbell, task_id, days=5)
    await move(taskbell, task_id, days=7)
    await pass_on(taskbell, hours=2)
    assert told(taskbell) == [f"From {on_day(taskbell, 3)} to {on_day(taskbell, 7)}"]


async def test_a_move_that_was_undone_is_not_told(taskbell: Corridor) -> None:
    """Moved, and moved back while it waited: the customer knows all there is."""
    await taskbell.restart(MOVED)
    task_id = await book(taskbell)
    await move(taskbell, task_id, days=5)
    await move(taskbell, task_id, days=3)
    await pass_on(taskbell, hours=2)
    undone = "cancelled: the change that it reports was undone"
    assert (told(taskbell), await ends(taskbell)) == ([], [("cancelled", undone)])


async def test_a_later_message_of_the_rule_tells_it_alone(taskbell: Corridor) -> None:
    """Each move has its own message: the last one goes out, as it was planned."""
    await taskbell.restart(MOVED.replace("  once_per: [task.id]\n", ""))
    task_id = await book(taskbell)
    await move(taskbell, task_id, days=5)
    await move(taskbell, task_id, days=7)
    await pass_on(taskbell, hours=2)
    assert told(taskbell) == [f"From {on_day(taskbell, 5)} to {on_day(taskbell, 7)}"]
    assert await taskbell.states() == ["cancelled", "sent"]


async def test_what_was_approved_with_the_old_text_is_asked_again(taskbell: Corridor) -> None:
    """A visit that was approved for one day and moved to another needs a new approval."""
    await taskbell.restart(APPROVED)
    task_id = await book(taskbell)
    await taskbell.deliver()
    [held, _] = await taskbell.deliveries()
    await move(taskbell, task_id, days=5)
    await approvals.approve(taskbell.pool, taskbell.clock, held["id"], by=Actor("Al"))
    await taskbell.deliver()
    [old, _, new, _] = await taskbell.deliveries()
    assert (old["state"], old["approved_by"], told(taskbell)) == ("cancelled", "Al", [])
    assert old["reason"].startswith(
        "cancelled: it was approved with a text that is out of date,"
        " so approval is asked for again: start changed from "
    )
    assert (new["state"], new["approved_by"]) == ("held", None)
    await taskbell.deliver()
    assert f"Booked for {on_day(taskbell, 5)}" in taskbell.posts[-1]
    await approvals.approve(taskbell.pool, taskbell.clock, new["id"], by=Actor("Bo"))
    await taskbell.deliver()
    assert told(taskbell) == [f"Booked for {on_day(taskbell, 5)}"]
    assert await taskbell.states() == ["cancelled", "sent", "sent", "sent"]


async def test_it_is_not_foretold_with_a_text_that_nobody_approved(taskbell: Corridor) -> None:
    """`taskbell next` knows which text was approved: the message itself will not go out."""
    await taskbell.restart(APPROVED.replace("  then:", "  then:\n    - wait: 1h"))
    task_id = await book(taskbell)
    await taskbell.deliver()
    [held, _] = await taskbell.deliveries()
    await approvals.approve(taskbell.pool, taskbell.clock, held["id"], by=Actor("Al"))
    for day in (3, 5):
        await move(taskbell, task_id, days=day)
        config, now = taskbell.config, taskbell.clock.now()
        trial = Simulator(config.rules, config.zones, ways(config.kinds), now)
        async with taskbell.pool.acquire() as connection, connection.transaction():
            found = await upcoming(trial, connection, now + timedelta(hours=2))
        foretold = [one.text for one in found]
        assert foretold == ([f"Booked for {on_day(taskbell, 3)}"] if day == 3 else [])
    await pass_on(taskbell, hours=1)
    await taskbell.deliver()
    assert (told(taskbell), await taskbell.states()) == (
        [],
        ["cancelled", "sent", "held", "sent"],
    )


async def test_what_was_approved_and_is_still_so_is_sent(taskbell: Corridor) -> None:
    """Nobody is asked twice about the same text."""
    await taskbell.restart(APPROVED)
    await book(taskbell)
    await taskbell.deliver()
    [held, _] = await taskbell.deliveries()
    await approvals.approve(taskbell.pool, taskbell.clock, held["id"], by=Actor("Al"))
    await pass_on(taskbell, minutes=1)
    assert told(taskbell) == [f"Booked for {on_day(taskbell, 3)}"]


async def test_a_text_that_cannot_be_written_anew_is_not_sent(taskbell: Corridor) -> None:
    """The new title does not fit into the text: it is cancelled, and the reason says so."""
    text = "{% assign n = task.title | size | minus: 4 %}{{ 8 | divided_by: n }}"
    await taskbell.restart(BOOKED.replace("Booked for {{ task.start | local: '%d' }}", text))
    task_id = await book(taskbell, name="gutters")
    await taskbell.webhook(taskbell.sandbox.kickserv.change(task_id, name="roof"))
    await pass_on(taskbell, hours=1)
    [(state, reason)] = await ends(taskbell)
    assert (state, told(taskbell)) == ("cancelled", [])
    assert reason is not None
    assert reason.startswith(
        "cancelled: the task's title has changed, and the text could not be brought up to date: "
    )


async def test_another_wording_alone_does_not_change_what_waits(taskbell: Corridor) -> None:
    """The rule was edited meanwhile: its new words are used if the task has changed as well."""
    task_id = await book(taskbell)
    await taskbell.restart(BOOKED.replace("Booked for", "See you on"))
    await pass_on(taskbell, hours=1)
    assert told(taskbell) == [f"Booked for {on_day(taskbell, 3)}"]
    other = await book(taskbell)
    await taskbell.restart(BOOKED.replace("Booked for", "We come on"))
    await move(taskbell, other, days=5)
    await pass_on(taskbell, hours=1)
    assert task_id != other
    assert told(taskbell)[1:] == [f"We come on {on_day(taskbell, 5)}"]


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (
            "- { id: other, when: task.deleted, then: [{ notify: accounting }] }",
            "the rule was removed or switched off",
        ),
        (BOOKED.replace("    - wait: 1h\n", ""), "the rule no longer has this step"),
        (
            BOOKED.replace("    - wait", '    - { notify: "accounting", text: "a" }\n    - wait'),
            "the rule no longer has this step",
        ),
        (
            BOOKED.replace("wait: 1h", 'notify: "accounting:x"\n      text: "internal"').replace(
                TO_IDA, 'notify: "accounting:y"'
            ),
            "the rule would send it to accounting:y, which is not a customer of it",
        ),
    ],
)
async def test_what_no_rule_can_word_any_more_is_not_sent(
    rules: str, why: str, taskbell: Corridor
) -> None:
    """Its rule is gone, or the step of it, and the visit was moved."""
    task_id = await book(taskbell)
    await taskbell.restart(rules)
    await move(taskbell, task_id, days=5)
    await pass_on(taskbell, hours=1)
    [(state, reason), *_] = await ends(taskbell)
    said = "the task's due has changed, and the text could not be brought up to date"
    assert (state, reason) == ("cancelled", f"cancelled: {said}: {why}")


async def test_a_retry_tells_what_is_so_by_then(taskbell: Corridor) -> None:
    """No answer, then none that helps; the visit is moved on and back: it stays one message."""
    task_id = await book(taskbell)
    taskbell.accounting.reply(Answer(fault=Fault.RESET_AFTER), Answer(503))
    await pass_on(taskbell, hours=1)
    await move(taskbell, task_id, days=5)
    await pass_on(taskbell, minutes=10)
    await move(taskbell, task_id, days=3)
    await pass_on(taskbell, minutes=30)
    first, other = (f"Booked for {on_day(taskbell, days)}" for days in (3, 5))
    assert told(taskbell) == [first, other, first]
    assert len({one.headers["webhook-id"] for one in taskbell.accounting.requests}) == 1
    assert [one["text"] for one in await taskbell.deliveries()] == [told(taskbell)[-1]]


async def test_a_person_who_sends_it_after_all_sends_what_is_so(taskbell: Corridor) -> None:
    """A person sends a cancelled message after the visit was moved."""
    task_id = await book(taskbell)
    [planned] = await taskbell.deliveries()
    await operator_actions.cancel(taskbell.pool, taskbell.clock, planned["id"], by=Actor("Al"))
    await move(taskbell, task_id, days=5)
    await operator_actions.retry(taskbell.pool, taskbell.clock, planned["id"], by=Actor("Al"))
    await taskbell.deliver()
    assert told(taskbell) == [f"Booked for {on_day(taskbell, 5)}"]


async def test_a_rule_that_waited_for_quiet_tells_the_rest(taskbell: Corridor) -> None:
    """What it told of is what was left of two moves; a third one is told as well."""
    await taskbell.restart(MOVED.replace("  once_per", "  settle: 5m\n  once_per"))
    quiet, restless = await book(taskbell), await book(taskbell)
    for task_id in (quiet, restless):
        await move(taskbell, task_id, days=5)
        await move(taskbell, task_id, days=6)
    await pass_on(taskbell, minutes=6)
    await move(taskbell, restless, days=7)
    await pass_on(taskbell, hours=2)
    days = {number: on_day(taskbell, number) for number in (3, 6, 7)}
    sent = {one["task"]: (one["text"], one["reason"]) for one in await taskbell.deliveries()}
    assert sent[quiet][0] == f"From {days[3]} to {days[6]}"
    assert sent[restless][0] == f"From {days[3]} to {days[7]}"
    reasons = [sent[task_id][1] or "" for task_id in (quiet, restless)]
    assert [one.startswith("the text was brought up to date") for one in reasons] == [False, True]


async def test_what_is_sent_instead_is_up_to_date(taskbell: Corridor) -> None:
    """The first way fails for good while the visit is moved; the other one tells the new day."""
    instead = 'on_fail: [{ notify: "mail:{{ task.customer.email }}", text: "{{ task.start }}" }]'
    await taskbell.restart(BOOKED.replace('" }', f'", {instead} }}'))
    task_id = await book(taskbell)
    taskbell.accounting.reply(Answer(410))
    await move(taskbell, task_id, days=5)
    await pass_on(taskbell, hours=1)
    await taskbell.deliver("mail")
    [failed, mail] = await taskbell.deliveries()
    assert (failed["state"], mail["channel"]) == ("failed", "mail")
    assert mail["text"].startswith(f"{dates(taskbell, 5)['scheduled_at']:%Y-%m-%d}")


async def test_a_text_whose_date_cannot_be_read_waits(taskbell: Corridor) -> None:
    """The system shows a date that is none: what it was before is not told."""
    task_id = await book(taskbell)
    taskbell.sandbox.kickserv.change(task_id, scheduled_at="soon")
    await pass_on(taskbell, hours=1)
    [(state, reason)] = await ends(taskbell)
    assert (state, told(taskbell)) == ("held", [])
    assert reason is not None
    assert "could not be read (value: 'soon')" in reason


async def test_colleagues_are_told_what_was_so(taskbell: Corridor) -> None:
    """Messages to them are not checked with the system, by design."""
    await taskbell.restart(BOOKED.replace(TO_IDA, "notify: slack:#office"))
    task_id = await book(taskbell)
    await move(taskbell, task_id, days=5)
    await pass_on(taskbell, hours=1)
    assert taskbell.posts == [f"Booked for {on_day(taskbell, 3)}"]


async def test_the_page_says_that_the_text_is_another_one(
    taskbell: Corridor, valkey: EmbeddedValkey
) -> None:
    """With the times where the firm is."""
    task_id = await book(taskbell)
    await move(taskbell, task_id, days=5)
    await pass_on(taskbell, hours=1)
    [sent] = await taskbell.deliveries()
    async with serving(taskbell.config, taskbell.pool, taskbell.clock, valkey.url, None) as site:
        page = (await site.client.get(f"/messages/{sent['id']}")).text
    assert sent["text"] in page
    assert "the text was brought up to date: start changed from " in page
    assert "12:00 UTC" not in page
