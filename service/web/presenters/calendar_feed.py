"""What is coming up as an iCalendar feed (RFC 5545) that a calendar can subscribe to."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

import orjson

from service.web import labels
from service.web.presenters.coming_up import Message

_OCTETS = 75  # of a line, at most (3.1)
_SUMMARY, _TEXT = 120, 1_000  # characters
# What a text may not hold (3.3.11), and line breaks beside the line feed.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ESCAPES = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\t": " "})


def calendar(messages: Iterable[Message], now: datetime, page: str) -> bytes:
    """One event for each message; `page` is the address of the Taskbell page."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Taskbell//Coming up//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        "X-WR-CALNAME:Taskbell: coming up",
        "REFRESH-INTERVAL;VALUE=DURATION:PT15M",
        "X-PUBLISHED-TTL:PT15M",
    ]
    seen = Counter[str]()
    for one in messages:
        seen[uid := _uid(one)] += 1
        again = f"-{seen[uid]}" if seen[uid] > 1 else ""
        lines += _event(one, f"{uid}{again}@taskbell", now, page)
    return "".join(f"{_folded(line)}\r\n" for line in [*lines, "END:VCALENDAR"]).encode()


def _event(one: Message, uid: str, now: datetime, page: str) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{uid}"
    yield f"DTSTAMP:{_moment(now)}"
    yield f"DTSTART:{_moment(one.later or one.at)}"
    yield "DURATION:PT15M"
    yield f"SUMMARY:{_text(_summary(one), _SUMMARY)}"
    yield f"DESCRIPTION:{_text(_description(one), _TEXT)}"
    yield f"URL:{page}{_place(one)}"
    yield f"STATUS:{'TENTATIVE' if one.id is None or one.doubt else 'CONFIRMED'}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


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


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str, longest: int) -> str:
    """A value of type TEXT."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    clean = _CONTROLS.sub("", lines)
    short = clean if len(clean) <= longest else f"{clean[:longest]}…"
    return short.translate(_ESCAPES)


def _folded(line: str) -> str:
    """The line in parts of no more octets than a line may have; no character is split (3.1)."""
    parts, size = [""], 0
    for character in line:
        octets = len(character.encode())
        if size + octets > _OCTETS:
            parts.append("")
            size = 1  # the space that the next line begins with
        parts[-1] += character
        size += octets
    return "\r\n ".join(parts)
