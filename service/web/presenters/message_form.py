"""The form above the list of messages: what it asks for, and what is wrong with it, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams

from service.domain.model import utc
from service.outbox.operator_actions import BULK_STATES, BulkAction
from service.store.views.message_search import Mark, Search
from service.web.parameters import cursor, is_text, read_cursor

STATES: Mapping[str, str] = {
    "waiting": "waiting",
    "on_hold": "on hold",
    "approval": "waiting for approval",
    "sent": "sent",
    "failed": "failed",
    "unknown": "may have arrived",
    "skipped": "skipped",
    "cancelled": "cancelled",
    "expired": "too late",
}
"""What one can ask for, and its words; `message_search.STATES` has their conditions."""
LABELS = {
    "q": "Task or customer",
    "to": "Recipient",
    "rule": "Rule",
    "state": "State",
    "channel": "Channel",
    "account": "Account",
    "day": "Day",
    "since": "Since",
}
_CURSORS = ("older", "newer")
_LONGEST = 200
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MessageForm:
    """A form that was read: its `fields` as they were filled in, and what they ask for.

    `faults` are sentences; where there is one, nothing is searched for.
    """

    fields: Mapping[str, str]
    search: Search = field(default_factory=Search)
    mark: Mark | None = None
    forward: bool = False
    faults: Sequence[str] = ()

    def address(self, path: str = "/messages", **more: str) -> str:
        """The address of this search; `more` is added to it."""
        asked = urlencode({**{name: text for name, text in self.fields.items() if text}, **more})
        return f"{path}?{asked}" if asked else path

    def bulk(self, action: BulkAction) -> str:
        """The address at which this is done to all that it asks for."""
        return self.address(f"/messages/bulk/{action}")

    @property
    def bulk_actions(self) -> Sequence[BulkAction]:
        """What can be done to all messages of the state that it asks for."""
        state = self.fields["state"]
        return [action for action, states in BULK_STATES.items() if state in states]

    def page(self, **to: Mark | None) -> str | None:
        """The address of another page, such as `older=` a mark; None where there is none."""
        [(name, mark)] = to.items()
        return None if mark is None else self.address(**{name: cursor(mark.parts) or ""})

    @property
    def here(self) -> str:
        """The address of this page."""
        return self.page(**{"newer" if self.forward else "older": self.mark}) or self.address()

    @property
    def is_empty(self) -> bool:
        """Whether the form sets no criterion, so that it lists all messages."""
        return not any(self.fields.values())


def read_message_form(
    query: QueryParams, zone: ZoneInfo, zones: Mapping[str, ZoneInfo]
) -> MessageForm:
    """The form; days are those of the account that is asked for, or else of `zone`."""
    fields = {name: query.get(name, "").strip() for name in LABELS}
    faults = [
        *_unknown(query, frozenset({*LABELS, *_CURSORS, "too_late"})),
        *_faults_of_texts(fields),
    ]
    if faults:
        return MessageForm({name: text[:_LONGEST] for name, text in fields.items()}, faults=faults)
    form = _on_days(MessageForm(fields, _search(fields)), zones.get(fields["account"], zone))
    return _at_cursor(form, query)


def _unknown(query: QueryParams, known: frozenset[str]) -> list[str]:
    if known.issuperset(query.keys()):
        return []
    return ["The address asks for something that this page does not know. Search again below"]


def _faults_of_texts(fields: Mapping[str, str]) -> list[str]:
    found = [
        f"{LABELS[name]}: at most {_LONGEST} characters on one line"
        for name, text in fields.items()
        if not is_text(text, _LONGEST)
    ]
    if fields["state"] and fields["state"] not in STATES:
        found.append(f"State: choose one of {', '.join(STATES.values())}")
    return found


def _search(fields: Mapping[str, str]) -> Search:
    named: dict[str, Any] = {name: fields[name] for name in ("rule", "state", "channel", "account")}
    return Search(words=fields["q"], receiver=fields["to"], **named)


def _on_days(form: MessageForm, zone: ZoneInfo) -> MessageForm:
    """With the days as times, from the midnight at which each begins."""
    try:
        day = _midnight(form.fields["day"], zone)
        after = _midnight(form.fields["day"], zone, _DAY)
        since = _midnight(form.fields["since"], zone)
    except (ValueError, OverflowError):
        return replace(form, faults=["Day and Since: enter a date such as 2026-03-06"])
    begins = max((one for one in (day, since) if one is not None), default=None)
    return replace(form, search=replace(form.search, since=begins, until=after))


def _midnight(text: str, zone: ZoneInfo, later: timedelta = timedelta(0)) -> datetime | None:
    if not text:
        return None
    return utc(datetime.combine(date.fromisoformat(text) + later, time(), zone))


def _at_cursor(form: MessageForm, query: QueryParams) -> MessageForm:
    for name in _CURSORS:
        if name not in query:
            continue
        try:
            parts = read_cursor(query[name], (int, int))
            mark = None if parts is None else Mark.of(int(parts[0]), int(parts[1]))
        except OverflowError:
            mark = None
        if mark is None:
            return replace(form, faults=["This link to another page is not complete"])
        return replace(form, mark=mark, forward=name == "newer")
    return form
