"""An invitation to a visit, as calendars take it out of a mail (RFC 5545, 5546 and 6047).

All mails about one task have the same UID, so that a calendar moves the visit when it gets another
one, and removes it when the task was deleted.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage

import orjson
from icalendar import Calendar, Event, vCalAddress
from icalendar.enums import STATUS

from service.channels import Message

# A SEQUENCE has 31 bits: the seconds since then are enough until 2088.
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
VISIT = "visit"
"""What `attach` calls it."""
_REQUEST, _CANCEL = "REQUEST", "CANCEL"


def attach(
    mail: EmailMessage, message: Message, uid: str, organizer: Address, invited: Sequence[Address]
) -> str | None:
    """Attach the visit of the message's task; returns why there is none."""
    task = orjson.loads(orjson.dumps(message.task)) or {}
    if not task:
        return "it is not about a single task"
    if not task.get("start"):
        return "the task has no start"
    if task.get("start_is_day"):
        return "the task has a day, but no time of day, as its start"
    method = _CANCEL if message.type == "task.deleted" else _REQUEST
    event = _event(mail, message, uid, method)
    event.start = datetime.fromisoformat(task["start"]).astimezone(UTC)
    end = task.get("end") and datetime.fromisoformat(task["end"]).astimezone(UTC)
    if end and not task.get("end_is_day") and end > event.start:
        event.end = end
    event.add("organizer", _person(organizer))
    for one in invited:
        event.add("attendee", _person(one, RSVP="FALSE", PARTSTAT="NEEDS-ACTION"))
    _put(mail, event, method)
    return None


def _event(mail: EmailMessage, message: Message, uid: str, method: str) -> Event:
    return Event.new(
        uid=uid,
        stamp=message.at,
        sequence=max(int((message.at - _EPOCH).total_seconds()), 0),
        summary=str(mail["Subject"]),
        description=message.text,
        status=STATUS.CANCELLED if method == _CANCEL else STATUS.CONFIRMED,
    )


def _person(address: Address, **parameters: str) -> vCalAddress:
    name = {"CN": address.display_name} if address.display_name else {}
    person = vCalAddress(f"mailto:{address.addr_spec}")
    person.params.update({**name, **parameters})
    return person


def _put(mail: EmailMessage, event: Event, method: str) -> None:
    calendar = Calendar.new(prodid="-//Taskbell//Visits//EN", method=method)
    calendar.add_component(event)
    text = calendar.to_ical().decode()
    mail.add_attachment(text, subtype="calendar", filename="visit.ics", params={"method": method})
