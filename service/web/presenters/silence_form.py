"""The form for a silence or a hold: what it asks for, and what is wrong with it, in words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import orjson

from service.config import Config
from service.domain.operators.silences import LONGEST, SCOPES, Silence
from service.outbox.silence_names import UnknownName
from service.web.actions import LONGEST_REASON
from service.web.parameters import is_text

Zones: TypeAlias = Mapping[str, ZoneInfo]

LENGTHS: Mapping[str, str] = {
    "hour": "for 1 hour",
    "evening": "until this evening, 18:00",
    "morning": "until tomorrow morning, 8:00",
    "week": "for one week",
}
LABELS: Mapping[str, str] = {
    "rule": "Rule",
    "account": "Account",
    "customer": "Customer",
    "person": "Recipient",
    "project": "Project",
}
_LONGEST_NAME = 200
_EVENING, _MORNING = time(18), time(8)
_DAY = timedelta(days=1)
# A form is filled in within an hour; a start before that was meant for another day.
_LATE = timedelta(hours=1)
_EXAMPLE = "enter a date and a time, such as 2026-03-06 17:00"


class _Fault(ValueError):
    """What is wrong with the form, as a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class SilenceForm:
    """A form as it was filled in: texts by the names of its fields.

    `silence` is what it asks for; there is none if there are `faults`, in words. `zone`
    is that of its times.
    """

    fields: Mapping[str, str]
    zone: ZoneInfo
    silence: Silence | None = None
    faults: Sequence[str] = ()

    def refused(self, unknown: Collection[UnknownName]) -> "SilenceForm":
        """The same with names that do not exist as faults, as far as they make it useless."""
        faults = [f"{LABELS[one.scope]}: {one}" for one in unknown if not one.may_come]
        return replace(self, silence=None, faults=faults) if faults else self


def blank_form(query: Mapping[str, str], zone: ZoneInfo, zones: Zones) -> SilenceForm:
    """The form before it is filled in, except for what a link to it has named."""
    fields = {name: query.get(name, "").strip()[:_LONGEST_NAME] for name in _names()}
    return SilenceForm(fields, zones.get(fields["account"], zone))


def read_form_of_silence(
    said: Mapping[str, str], zone: ZoneInfo, zones: Zones, now: datetime
) -> SilenceForm:
    """The form as it was sent; its times are in the zone of its account, or else in `zone`."""
    fields = {name: said.get(name, "").strip() for name in _names()}
    form = SilenceForm(
        {name: text[: LONGEST_REASON + 1] for name, text in fields.items()},
        zones.get(fields["account"], zone),
    )
    try:
        _demand_texts(fields)
        begins = _begin(fields["from"], form.zone, now)
        ends = _end(fields, form.zone, begins, now)
    except _Fault as fault:
        return replace(form, faults=[str(fault)])
    scopes: dict[str, Any] = {scope: fields[scope] or None for scope in SCOPES}
    return replace(form, silence=Silence(0, begins, ends, fields["reason"], **scopes))


def read_length(said: Mapping[str, str], zone: ZoneInfo, now: datetime) -> tuple[datetime, str]:
    """Until when (UTC) and why, for a hold that begins now; raises ValueError with a sentence."""
    fields = {"until": "", **{name: said.get(name, "").strip() for name in ("length", "reason")}}
    _demand_reason(fields["reason"])
    return _end(fields, zone, now, now), fields["reason"]


def names_of(config: Config) -> dict[str, list[str]]:
    """The rules, accounts and people of the configuration, by the scopes of silences."""
    rules = orjson.loads(config.text).get("rules", [])
    people = [one.email for one in config.people.entries.values() if one.email is not None]
    return {
        "rule": sorted(one["id"] for one in rules),
        "account": sorted(config.accounts),
        "person": sorted(people),
    }


def _names() -> tuple[str, ...]:
    return (*SCOPES, "everything", "from", "until", "length", "reason")


def _demand_texts(fields: Mapping[str, str]) -> None:
    for scope in SCOPES:
        if not is_text(fields[scope], _LONGEST_NAME):
            raise _Fault(f"{LABELS[scope]}: at most {_LONGEST_NAME} characters on one line")
    _demand_reason(fields["reason"])
    named = any(fields[scope] for scope in SCOPES)
    if named and fields["everything"]:
        raise _Fault("Choose either everything or what you have named, not both")
    if not named and not fields["everything"]:
        raise _Fault("Say which messages to hide: name one of them, or choose everything")


def _demand_reason(reason: str) -> None:
    if not reason or not is_text(reason, LONGEST_REASON):
        raise _Fault(f"Reason: say why, in at most {LONGEST_REASON} characters on one line")


def _begin(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The start (UTC): now, if none is given."""
    if not text:
        return now
    begins = _moment("From", text, zone)
    if begins < now - _LATE:
        raise _Fault("From: this is in the past. Leave it empty to begin now")
    _demand_near("From", begins, now)
    return max(begins, now)


def _end(fields: Mapping[str, str], zone: ZoneInfo, begins: datetime, now: datetime) -> datetime:
    """The end (UTC), as it is written, or as long after the start as was chosen."""
    if fields["until"] and fields["length"]:
        raise _Fault("Until: choose either how long or until when, not both")
    if fields["until"]:
        ends = _moment("Until", fields["until"], zone)
    else:
        ends = _after(fields["length"], zone, begins)
    if ends <= now:
        raise _Fault("Until: this is in the past")
    if ends <= begins:
        raise _Fault("Until: this is not after From")
    _demand_near("Until", ends, now)
    return ends


def _demand_near(label: str, moment: datetime, now: datetime) -> None:
    if moment > now + LONGEST:
        raise _Fault(f"{label}: this is more than ten years ahead")


def _after(length: str, zone: ZoneInfo, begins: datetime) -> datetime:
    there = begins.astimezone(zone)
    if length == "hour":
        return begins + timedelta(hours=1)
    if length == "week":
        return (there + 7 * _DAY).astimezone(UTC)
    if length == "morning":
        return _at(there + _DAY, _MORNING)
    if length == "evening":
        if there.time() >= _EVENING:
            raise _Fault("Until: it is evening already. Choose tomorrow morning, or a time")
        return _at(there, _EVENING)
    raise _Fault("Until: say how long or until when")


def _at(there: datetime, clock: time) -> datetime:
    return datetime.combine(there.date(), clock, there.tzinfo).astimezone(UTC)


def _moment(label: str, text: str, zone: ZoneInfo) -> datetime:
    """A time (UTC) that is written without its zone, or with it by the page itself.

    Of an hour that occurs twice it is the first; one that a clock leaves out is refused.
    """
    try:
        written = datetime.fromisoformat(text)
        moment = (written if written.tzinfo else written.replace(tzinfo=zone)).astimezone(UTC)
        is_there = moment.astimezone(written.tzinfo or zone).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise _Fault(f"{label}: {_EXAMPLE}") from None
    if is_there != written.replace(tzinfo=None):
        raise _Fault(
            f"{label}: there is no such time on that day, because the clock is put forward"
        )
    return moment
