"""Mails, from a rule to the mail server: markup, invitations to visits, and servers that wait."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar, Event

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer
from tests.harness.smtp_receiver import Mail, SmtpReceiver

IDA = {"id": 7, "name": "Ida *the* [boss](http://evil.test)", "email": "ida@customer.test"}
MAIL = """\
    - notify: "mail:{{ task.customer.email }}"
      subject: "Your visit"
      text: "Dear {{ task.customer.name }},\\n\\n**booked** for {{ task.start | local: '%d' }}"
      attach: visit
"""
BOOKED = f"- id: booked\n  when: task.created\n  then:\n{MAIL}"
MOVED = f"- id: moved\n  when: task.rescheduled\n  then:\n{MAIL}"
LATER = f"- id: booked\n  when: task.created\n  then:\n    - wait: 1h\n{MAIL}"
NEW = """
- id: new
  when: task.created
  then:
    - notify: slack:#office
      text: New
      on_fail:
        - { notify: "mail:bo@firm.test", text: "**{{ task.title }}**" }
        - { notify: "mail:al@firm.test", text: "**{{ task.title }}**: {{ failure }}" }
"""
BOTH = """
- id: both
  when: task.created
  then: [{ notify: "mail:bo@firm.test, {{ task.customer.email }}", text: "{{ task.title }}" }]
"""


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpReceiver]:
    async with SmtpReceiver() as receiver:
        yield receiver


@pytest.fixture
async def taskbell(
    pool: Pool, clock: VirtualClock, folder: Path, smtp: SmtpReceiver
) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync, with this mail server."""
    async with corridor(folder, pool, clock, BOOKED) as running:
        running.head["smtp"] = str(smtp.port)
        await running.restart(BOOKED)
        await running.begin()
        yield running


async def book(taskbell: Corridor, **more: Any) -> str:
    made = taskbell.visit(customer=IDA, **more)
    await taskbell.webhook(made)
    return str(made["id"])


async def move(taskbell: Corridor, task_id: str) -> datetime:
    """A minute later, it is put off by two days; its new start."""
    taskbell.clock.advance(timedelta(minutes=1))
    start = taskbell.clock.now().replace(minute=0, second=0) + timedelta(days=3)
    dates = {"scheduled_at": start, "ends_at": start + timedelta(hours=1)}
    await taskbell.webhook(taskbell.sandbox.kickserv.change(task_id, **dates))
    return start


async def reasons(taskbell: Corridor) -> list[str | None]:
    return [one["reason"] for one in await taskbell.deliveries()]


def event(mail: Mail) -> Event:
    [part] = mail.message.iter_attachments()
    [found] = Calendar.from_ical(part.get_content()).events
    return found


async def test_a_rules_markup_is_seen_and_a_name_is_not(
    taskbell: Corridor, smtp: SmtpReceiver
) -> None:
    """From the rule through the outbox to the mail, both in HTML and as text."""
    await book(taskbell)
    await taskbell.deliver()
    (mail,) = smtp.mails
    assert "<strong>booked</strong>" in mail.html
    assert "Ida *the* [boss](" in mail.html
    assert mail.text.startswith(f"Dear {IDA['name']},\n\n**booked** for ")


async def test_a_text_that_is_brought_up_to_date_keeps_its_markup(
    taskbell: Corridor, smtp: SmtpReceiver
) -> None:
    """Moved before the mail went out: text, markup and invitation are the new ones."""
    await taskbell.restart(LATER)
    task_id = await book(taskbell)
    await taskbell.webhook(taskbell.sandbox.kickserv.change(task_id, customer=IDA | {"name": "Bo"}))
    start = await move(taskbell, task_id)
    await taskbell.tick(hours=1)
    await taskbell.deliver()
    (mail,) = smtp.mails
    assert "<p>Dear Bo,</p>\n<p><strong>booked</strong> for " in mail.html
    assert event(mail).start == start


async def test_a_moved_visit_moves_in_the_customers_calendar(
    taskbell: Corridor, smtp: SmtpReceiver
) -> None:
    """Two mails about one visit, and the second one is the newer."""
    await taskbell.restart(BOOKED + MOVED)
    task_id = await book(taskbell)
    await taskbell.deliver()
    start = await move(taskbell, task_id)
    await taskbell.deliver()
    first, second = map(event, smtp.mails)
    assert first["UID"] == second["UID"]
    assert second.sequence > first.sequence
    assert (second.start, second.end) == (start, start + timedelta(hours=1))


async def test_a_mail_without_its_visit_says_why(taskbell: Corridor, smtp: SmtpReceiver) -> None:
    """The delivery says that there was no start."""
    await book(taskbell, scheduled_at=None, ends_at=None)
    await taskbell.deliver()
    assert len(smtp.mails) == 1
    assert await reasons(taskbell) == [
        "sent without an invitation to the visit: the task has no start"
    ]


async def test_the_fallback_has_its_markup_unless_it_says_why(
    taskbell: Corridor, smtp: SmtpReceiver
) -> None:
    """With the reason put in, nobody knows any more which words are whose: then all is text."""
    await taskbell.restart(NEW)
    taskbell.slack.reply(Answer(body={"ok": False, "error": "is_archived"}))
    await book(taskbell, name="roof")
    for _ in range(2):
        await taskbell.deliver()
    mails = {mail.recipients[0]: mail for mail in smtp.mails}
    assert "<strong>roof</strong>" in mails["bo@firm.test"].html
    assert "<p>**roof**: Slack" in mails["al@firm.test"].html


async def test_greylisting_uses_up_no_attempt(taskbell: Corridor, smtp: SmtpReceiver) -> None:
    """Nothing is tried for ten minutes, then the mail is taken; its Message-ID is the same."""
    smtp.replies["RCPT"] = "450 4.2.0 greylisted"
    await book(taskbell)
    await taskbell.deliver()
    [waiting] = await taskbell.deliveries()
    assert (waiting["state"], waiting["attempts"]) == ("planned", 0)
    assert "greylisted; will be tried again" in waiting["reason"]
    smtp.replies.clear()
    await taskbell.tick(minutes=9)
    await taskbell.deliver()
    assert smtp.mails == []
    await taskbell.tick(minutes=1)
    await taskbell.deliver()
    assert smtp.mails[0].message["Message-ID"] == f"<{waiting['key']}@firm.test>"
    assert await taskbell.states() == ["sent"]


async def test_whom_the_server_refused_is_kept(taskbell: Corridor, smtp: SmtpReceiver) -> None:
    """The others got it; the delivery says who did not."""
    await taskbell.restart(
        NEW.replace("slack:#office", '"mail:bo@firm.test, {{ task.customer.email }}"')
    )
    smtp.replies["RCPT ida@customer.test"] = "550 no such user"
    await book(taskbell)
    await taskbell.deliver()
    assert smtp.mails[0].recipients == ["bo@firm.test"]
    assert await reasons(taskbell) == ["not sent to ida@customer.test: 550 no such user"]


async def test_one_who_is_refused_again_and_again_holds_up_nobody(
    taskbell: Corridor, smtp: SmtpReceiver
) -> None:
    """The others have the mail once; the one is tried again for days, and then it is said."""
    await taskbell.restart(BOTH)
    smtp.replies["RCPT ida@customer.test"] = "450 mailbox busy"
    await book(taskbell)
    await taskbell.deliver()
    [waiting] = await taskbell.deliveries()
    assert waiting["state"] == "planned"
    assert "(1 of 2 recipients have the mail, and will not receive it again)" in waiting["reason"]
    for _ in range(12):
        await taskbell.tick(days=1.5)
        await taskbell.deliver()
    assert [mail.recipients for mail in smtp.mails] == [["bo@firm.test"]]
    [given_up] = await taskbell.deliveries()
    assert given_up["state"] == "failed"
    assert "given up after 10 attempts" in given_up["reason"]


async def test_who_was_refused_for_now_gets_the_same_mail_later(
    taskbell: Corridor, smtp: SmtpReceiver
) -> None:
    """It has the same id, and nobody gets it twice."""
    await taskbell.restart(BOTH)
    smtp.replies["RCPT ida@customer.test"] = "451 greylisted"
    await book(taskbell)
    await taskbell.deliver()
    smtp.replies.clear()
    await taskbell.tick(minutes=15)
    await taskbell.deliver()
    first, second = smtp.mails
    assert (first.recipients, second.recipients) == (["bo@firm.test"], ["ida@customer.test"])
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert await taskbell.states() == ["sent"]
