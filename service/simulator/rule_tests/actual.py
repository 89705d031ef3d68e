"""The results of the rules, in the terms in which tests state their expectations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from service.config.rule_tests import Expected, listed
from service.domain.model import Event, State
from service.domain.system_actions import WRITES
from service.rules.language.date_format import DATE_FORMAT
from service.rules.steps import DATES
from service.simulator.memory.deliveries import Delivery

_VERBS = {
    State.HELD: "held",
    State.CANCELLED: "cancelled",
    State.SKIPPED: "skipped",
    State.EXPIRED: "expired",
    State.FAILED: "failed",
}
_LOUD = frozenset({"notify", "updated", *WRITES})


@dataclass(frozen=True, slots=True)
class Actual:
    """One result of a rule, to be compared with an `Expected`.

    `event` is the event that the rule decided on, and its time; `why` the reason of a delivery that
    was not simply sent.
    """

    verb: str
    what: str
    text: str
    subject: str | None
    fields: Mapping[str, Any]
    rule: str
    event: str
    why: str | None

    def __str__(self) -> str:
        texts = [" ".join(text.split()) for text in (self.subject, self.text) if text]
        said = "".join(f' "{text}"' for text in texts)
        return f"{self.verb} {self.what or listed(self.fields)}".rstrip() + said

    @property
    def grounds(self) -> list[str]:
        """The rule and its reason, a line each."""
        return [f"by {self.rule}: {self.event}", *([self.why] if self.why else [])]

    def meets(self, wanted: Expected) -> bool:
        """Whether this is the expected result."""
        return (
            wanted.verb == self.verb
            and wanted.what == self.what
            and all(text in f"{self.subject or ''}\n{self.text}" for text in wanted.contains)
            and wanted.subject in {None, self.subject}
            and all(_is(self.fields.get(name), v) for name, v in (wanted.fields or {}).items())
        )


def _is(found: Any, wanted: Any) -> bool:
    """Whether a field is as expected; an expected day matches any time of that day."""
    is_day = isinstance(wanted, date) and not isinstance(wanted, datetime)
    return bool((found.date() if is_day and isinstance(found, datetime) else found) == wanted)


def is_loud(one: Actual) -> bool:
    """Whether it is visible to anyone else: then a test has to expect it."""
    return one.verb in _LOUD


def actual(one: Delivery, zone: ZoneInfo) -> Actual:
    """The result for a delivery; dates are in `zone`."""
    plan = one.request.plan
    verb, what = _VERBS.get(one.state, "notify"), _address(plan.channel, plan.target)
    if one.state is State.SENT and one.updates is not None:
        verb = "updated"
    elif one.state is State.SENT and plan.channel in WRITES:
        verb, what = plan.channel, ""
    fields = {name: _shown(name, value, zone) for name, value in (plan.fields or {}).items()}
    if plan.channel in WRITES and plan.target:
        fields["in"] = plan.target
    return Actual(
        verb=verb,
        what=what,
        text=one.text,
        subject=plan.subject,
        fields=fields,
        rule=one.request.rule,
        event=named(one.request.event, zone),
        why=one.reason,
    )


def named(event: Event, zone: ZoneInfo) -> str:
    """The displayed name of an event, with its time in `zone`."""
    at = event.at.astimezone(zone).strftime(DATE_FORMAT)
    what = f"{event.task_id} {event.kind.replace('_', ' ')}".strip()
    return f"{what}, {at}"


def _address(channel: str, target: str) -> str:
    return f"{channel}:{target}" if target else channel


def _shown(name: str, value: Any, zone: ZoneInfo) -> Any:
    return datetime.fromisoformat(value).astimezone(zone) if name in DATES else value
