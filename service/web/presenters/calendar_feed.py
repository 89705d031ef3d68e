"""What is coming up as an iCalendar feed (RFC 5545) that a calendar can subscribe to."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote

import orjson
from icalendar import Calendar, Event
from icalendar.enums import STATUS, TRANSP

from service.web import labels
from service.web.presenters.coming_up import Message

_SUMMARY, _TEXT = 120, 1_000  # characters
_QUARTER = timedelta(minutes=15)
# What a text may not hold (3.3.11), and line breaks beside the line feed.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def calendar(messages: Iterable[Message], now: datetime, page: str) -> bytes:
    """One event for each message; `page` is the address of the Taskbell page."""
    made = Calendar.new(
        prodid="-//Taskbell//Coming up//EN",
        calscale="GREGORIAN",
        method="PUBLISH",
        name="Taskbell: coming up",
        uid="coming-up@taskbell",
    )
    made.add("refresh-interval", _QUARTER, parameters={"VALUE": "DURATION"})
    made.add("x-published-ttl", "PT15M")
    seen = Counter[str]()
    for one in messages:
        seen[uid := _uid(one)] += 1
        again = f"-{seen[uid]}" if seen[uid] > 1 else ""
        made.add_component(_event(one, f"{uid}{again}@taskbell", now, page))
    return bytes(made.to_ical())


def _event(one: Message, uid: str, now: datetime, page: str) -> Event:
    event = Event.new(
        uid=uid,
        stamp=now.astimezone(UTC),
        start=(one.later or one.at).astimezone(UTC),
        summary=_text(_summary(one), _SUMMARY),
        description=_text(_description(one), _TEXT),
        url=f"{page}{_place(one)}",
        status=STATUS.TENTATIVE if one.id is None or one.doubt else STATUS.CONFIRMED,
        transparency=TRANSP.TRANSPARENT,
    )
    event.DURATION = _QUARTER
    return event


def _summary(one: Message) -> str:
    about = one.subject or one.title or one.text or one.task or one.rule
    return f"{' '.join(about.split())} → {labels.receiver(one.channel, one.target)}"


def _description(one: Message) -> str:
    status = one.how if one.id is None else one.reason or "Waiting."
    parts = (
        one.text,
        status,
        one.doubt and f"As things are now, it will not be sent. Reason: {one.doubt}",
    )
    return "\n".join([*filter(None, parts), f"Rule {one.rule}, account {one.account}"])


def _place(one: Message) -> str:
    if one.id is not None:
        return f"/messages/{one.id}"
    if one.task:
        return f"/tasks/{quote(one.account, safe='')}/{quote(one.task, safe='')}"
    return f"/rules/{quote(one.rule, safe='')}"


def _uid(one: Message) -> str:
    """The same whether it is only expected or planned by now, and each time it is computed."""
    parts = [one.account, one.rule, one.task, one.kind, one.happened_at, one.step, one.channel]
    return sha256(orjson.dumps([*parts, one.target])).hexdigest()[:32]


def _text(text: str, longest: int) -> str:
    """A value of type TEXT, on which calendars agree."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    clean = _CONTROLS.sub("", lines)
    return clean if len(clean) <= longest else f"{clean[:longest]}…"
