"""`attach: visit`: the visit goes into a calendar, moves there, and is removed again."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from icalendar import Calendar, Event

from service.channels import Channel
from service.clock import VirtualClock
from tests.contract.channel_rigs import EmailRig, opened
from tests.harness.smtp_receiver import SmtpReceiver

TASK = {"id": "T1", "title": "Gutters", "start": "2026-03-09T10:00:00+01:00"}
MESSAGE = replace(EmailRig.message, attach="visit", task=TASK, subject="Your visit; moved, ✅")


@pytest.fixture
def rig() -> EmailRig:
    return EmailRig()


@pytest.fixture
def smtp(rig: EmailRig) -> SmtpReceiver:
    return rig.receiver


@pytest.fixture
async def channel(rig: EmailRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def attached(mail: EmailMessage) -> EmailMessage:
    [part] = mail.iter_attachments()
    assert isinstance(part, EmailMessage)
    return part


def invitation(mail: EmailMessage) -> tuple[Calendar, Event]:
    calendar = Calendar.from_ical(attached(mail).get_content())
    [event] = calendar.events
    return calendar, event


async def test_a_mail_has_the_visit_with_it(smtp: SmtpReceiver, channel: Channel) -> None:
    """The mail has its text, and an invitation that calendars can read."""
    task = TASK | {"end": "2026-03-09T11:30:00+01:00"}
    await channel.send(replace(MESSAGE, target="Bo Reed <bo@x.test>", task=task))
    mail = smtp.mails[0]
    part = attached(mail.message)
    assert part.get_content_type() == "text/calendar"
    assert (part.get_param("method"), part.get_filename()) == ("REQUEST", "visit.ics")
    calendar, event = invitation(mail.message)
    assert calendar["METHOD"] == "REQUEST"
    assert event["SUMMARY"] == "Your visit; moved, ✅"
    assert event.start == datetime(2026, 3, 9, 9, tzinfo=UTC)
    assert event.end == datetime(2026, 3, 9, 10, 30, tzinfo=UTC)
    assert event["ORGANIZER"] == "mailto:tasks@example.com"
    assert event["ATTENDEE"] == "mailto:bo@x.test"
    assert event["ATTENDEE"].params["CN"] == "Bo Reed"
    assert event["DESCRIPTION"] == MESSAGE.text
    assert mail.text.strip() == MESSAGE.text


async def test_a_moved_visit_moves_in_the_calendar(smtp: SmtpReceiver, channel: Channel) -> None:
    """It is the same visit, by its UID, and the newer one, by its SEQUENCE; a retry is neither."""
    moved = replace(MESSAGE, key="2", at=MESSAGE.at + timedelta(seconds=1))
    for message in (MESSAGE, MESSAGE, moved, replace(moved, task_id="T2")):
        await channel.send(message)
    events = [invitation(mail.message)[1] for mail in smtp.mails]
    first, again, later, other = events
    assert (first["UID"], first["SEQUENCE"]) == (again["UID"], again["SEQUENCE"])
    assert first["UID"] == later["UID"] != other["UID"]
    assert later.sequence > first.sequence
    assert "DTEND" not in first


async def test_two_moves_in_one_second_have_an_order(smtp: SmtpReceiver, channel: Channel) -> None:
    """Otherwise a calendar keeps the visit where the first of them has put it."""
    await channel.send(MESSAGE)
    await channel.send(replace(MESSAGE, key="2", event={"id": 8, "kind": "rescheduled"}))
    first, second = (invitation(mail.message)[1] for mail in smtp.mails)
    assert second.sequence > first.sequence
    assert first.stamp == second.stamp


async def test_the_calendar_is_the_same_however_often_it_is_sent(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """Byte by byte for one message; for one visit it keeps its UID (RFC 7986)."""
    for message in (MESSAGE, MESSAGE, replace(MESSAGE, key="2", type="task.deleted")):
        await channel.send(message)
    first, again, deleted = (attached(mail.message).get_content() for mail in smtp.mails)
    assert first == again
    uids = {str(Calendar.from_ical(one)["UID"]) for one in (first, deleted)}
    assert len(uids) == 1


async def test_a_deleted_visit_is_removed(smtp: SmtpReceiver, channel: Channel) -> None:
    """The mail about the deletion cancels the visit."""
    await channel.send(replace(MESSAGE, type="task.deleted"))
    calendar, event = invitation(smtp.mails[0].message)
    assert (calendar["METHOD"], event["STATUS"]) == ("CANCEL", "CANCELLED")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"status": "Cancelled"}, "CANCELLED"),
        ({"status": "canceled by customer", "done": True}, "CANCELLED"),
        ({"archived": True}, "CANCELLED"),
        ({"archived": True, "done": True}, "CONFIRMED"),
        ({"status": "Cancellation fee"}, "CONFIRMED"),
        ({"status": None, "archived": False}, "CONFIRMED"),
    ],
)
async def test_a_visit_that_will_not_be_is_removed(
    smtp: SmtpReceiver, channel: Channel, more: dict[str, Any], status: str
) -> None:
    """Cancelled by its status, or put away undone; what was done and put away has been."""
    await channel.send(replace(MESSAGE, type="task.changed", task=TASK | more))
    calendar, event = invitation(smtp.mails[0].message)
    methods = {"CANCELLED": "CANCEL", "CONFIRMED": "REQUEST"}
    assert (calendar["METHOD"], event["STATUS"]) == (methods[status], status)


async def test_a_visit_that_has_lost_its_date_is_removed(
    smtp: SmtpReceiver, channel: Channel
) -> None:
    """The calendar would keep it on the old one."""
    task = {"id": "T1", "start": None}
    await channel.send(replace(MESSAGE, type="task.rescheduled", task=task, before=TASK))
    calendar, event = invitation(smtp.mails[0].message)
    assert (calendar["METHOD"], event["STATUS"]) == ("CANCEL", "CANCELLED")
    assert event.start == datetime(2026, 3, 9, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ({"id": "T1"}, "the task has no start"),
        (TASK | {"start_is_day": True}, "a day, but no time of day"),
        (None, "not about a single task"),
    ],
)
async def test_without_a_start_it_is_sent_without(
    smtp: SmtpReceiver, channel: Channel, task: dict[str, Any] | None, why: str
) -> None:
    """The mail arrives anyway, and its delivery says what is missing and why."""
    receipt = await channel.send(replace(MESSAGE, task=task))
    assert [*smtp.mails[0].message.iter_attachments()] == []
    assert receipt["note"].startswith("sent without an invitation to the visit: ")
    assert why in receipt["note"]
