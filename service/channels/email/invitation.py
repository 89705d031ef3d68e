"""An invitation to a visit, as calendars take it out of a mail (RFC 5545, 5546, 6047 and 7986).

All mails about one task have the same UID, so that a calendar moves the visit when it gets another
one, and removes it when there will be none.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

import orjson
from icalendar import Calendar, Event, vCalAddress
from icalendar.enums import STATUS

from service.channels import JSON, Message

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
VISIT = "visit"
"""What `attach` calls it."""
_REQUEST, _CANCEL = "REQUEST", "CANCEL"
_CANCELLED = re.compile(r"\bcancell?ed\b", re.IGNORECASE)


def attach(
    mail: EmailMessage, message: Message, uid: str, organizer: Address, invited: Sequence[Address]
) -> str | None:
    """Attach the visit of the message's task; returns why there is none."""
    task, before = _read(message.task), _read(message.before)
    if not task:
        return "it is not about a single task"
    has_lost_its_date = not task.get("start") and bool(before.get("start"))
    visit = before if has_lost_its_date else task
    if not visit.get("start"):
        return "the task has no start"
    if visit.get("start_is_day"):
        return "the task has a day, but no time of day, as its start"
    method = _CANCEL if has_lost_its_date or _is_off(message, task) else _REQUEST
    event = _event(mail, message, uid, method)
    event.start = datetime.fromisoformat(visit["start"]).astimezone(UTC)
    end = visit.get("end") and datetime.fromisoformat(visit["end"]).astimezone(UTC)
    if end and not visit.get("end_is_day") and end > event.start:
        event.end = end
    event.add("organizer", _person(organizer))
    for one in invited:
        event.add("attendee", _person(one, RSVP="FALSE", PARTSTAT="NEEDS-ACTION"))
    _put(mail, event, method)
    return None


def _read(shape: JSON) -> Mapping[str, Any]:
    return orjson.loads(orjson.dumps(shape)) or {}


def _is_off(message: Message, task: Mapping[str, Any]) -> bool:
    """Whether there will be no visit: its task was deleted, put away undone, or cancelled."""
    is_put_away = task.get("archived") and not task.get("done")
    says_so = _CANCELLED.search(task.get("status") or "")
    return bool(message.type == "task.deleted" or is_put_away or says_so)


def _event(mail: EmailMessage, message: Message, uid: str, method: str) -> Event:
    return Event.new(
        uid=uid,
        stamp=message.at,
        sequence=_sequence(message),
        summary=str(mail["Subject"]),
        description=message.text,
        status=STATUS.CANCELLED if method == _CANCEL else STATUS.CONFIRMED,
    )


def _sequence(message: Message) -> int:
    """Which of the mails about a visit is the newest; a number of 31 bits.

    Two events may happen in the same second: the later one has the higher number. The numbers begin
    anew with an empty database, the seconds do not.
    """
    seconds = max(int((message.at - _EPOCH).total_seconds()), 0)
    return seconds + int(_read(message.event).get("id", 0))


def _person(address: Address, **parameters: str) -> vCalAddress:
    name = {"CN": address.display_name} if address.display_name else {}
    person = vCalAddress(f"mailto:{address.addr_spec}")
    person.params.update({**name, **parameters})
    return person


def _put(mail: EmailMessage, event: Event, method: str) -> None:
    prodid = "-//Taskbell//Visits//EN"
    calendar = Calendar.new(prodid=prodid, method=method, uid=str(event["UID"]))
    calendar.add_component(event)
    text = calendar.to_ical().decode()
    mail.add_attachment(text, subtype="calendar", filename="visit.ics", params={"method": method})
