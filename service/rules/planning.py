"""From a rule that matched to the deliveries it wants, each with its time and its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal
from zoneinfo import ZoneInfo

import orjson

from service.alarms import date_of
from service.durations import Duration
from service.model import Event, Kind, State
from service.rules.asking import asked
from service.rules.expressions import Expression
from service.rules.hours import Hours
from service.rules.reach import Reach
from service.rules.scope import Scope
from service.rules.steps import DATES, Action, Step, Value
from service.rules.templates import DATE_FORMAT, RenderError, Template
from service.rules.triggers import CLOCK_KINDS
from service.rules.verdict import Plan

# Both are part of one index, of which PostgreSQL holds no entry above 2704 bytes.
_LONGEST_KEY = 400  # bytes
_LONGEST_TARGET = 320  # characters, as many as a mail address may have
_UNDONE_BY = {
    Kind.COMPLETED: frozenset({Kind.REOPENED.value}),
    Kind.CREATED: frozenset({Kind.DELETED.value}),
}
_ENDS_ALARMS = frozenset({Kind.COMPLETED.value, Kind.DELETED.value})
_INSTEAD = "/instead:"
_NEVER = "the opening hours that it is counted by are not open for so long within ten years"


@dataclass(frozen=True, slots=True)
class Timing:
    """When a message may go out: inside `hours`, or held or skipped; and until when at all.

    `business` are the hours that business hours and days are counted by.
    """

    hours: Hours | None = None
    outside: Literal["hold", "skip", "ignore"] = "hold"
    expires: timedelta | None = None
    business: Hours | None = None

    def off_hours(
        self, moment: datetime, expires_at: datetime | None, zone: ZoneInfo
    ) -> "Dispatch | None":
        """What becomes of a message that is due outside the hours; None if it is due inside."""
        hours = self.hours
        if hours is None or self.outside == "ignore" or hours.is_open(moment, zone):
            return None
        outside = f"outside {hours.name} hours"
        if self.outside == "skip":
            return Dispatch(State.SKIPPED, moment, outside, expires_at)
        opening = hours.next_open(moment, zone)
        if opening is None:
            return Dispatch(State.SKIPPED, moment, f"{outside}, which never open again", expires_at)
        until = opening.astimezone(zone).strftime(DATE_FORMAT)
        if expires_at is not None and expires_at <= opening:
            reason = f"{outside} until {until}, and by then it has expired"
            return Dispatch(State.SKIPPED, moment, reason, expires_at)
        return Dispatch(State.HELD, opening, f"{outside}: held until {until}", expires_at)

    def until_open(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """When the hours open, if something that is due at this moment would be held for them."""
        dispatch = self.off_hours(moment, None, zone)
        return dispatch.send_at if dispatch is not None and dispatch.state is State.HELD else moment


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Whether and when one delivery is sent; the reason if it is held, skipped or has waited."""

    state: State
    send_at: datetime
    reason: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Planning:
    """The second half of a rule: what to do, when, and how often; only for show if `shadow`."""

    steps: tuple[Step, ...]
    once_per: tuple[Expression, ...]
    timing: Timing
    reach: Reach
    shadow: bool = False

    def plans(self, scope: Scope) -> tuple[Plan, ...]:
        """Every delivery, in order; raises EvaluationError or RenderError."""
        once_key = self.once_key(scope)
        moment = scope.now
        waited: list[str] = []
        plans: list[Plan] = []
        for step in self.steps:
            if isinstance(step, Action):
                dispatch = self._dispatch(moment, waited, scope)
                plans += self._sendings(step, once_key, dispatch, scope)
                moment = dispatch.send_at
                continue
            moment = self._waited(step, step.duration, moment, scope)
            waited.append(step.duration.text)
        return tuple(plans)

    def _sendings(
        self, step: Action, once_key: str, dispatch: Dispatch, scope: Scope
    ) -> list[Plan]:
        """The step once, and as often again as it says, unless there is nobody to send it to.

        Each repetition counts from when the one before it goes out, so that those of a weekend do
        not come together on Monday.
        """
        first = self._plan(step, once_key, dispatch, scope)
        is_refused = first.state is State.SKIPPED and dispatch.state is not State.SKIPPED
        if step.repeat is None or is_refused:
            return [first]
        plans = [first]
        for number in range(1, step.repeat.times + 1):
            moment = self._waited(step, step.repeat.every, plans[-1].send_at, scope)
            again = self._dispatch(moment, [], scope)
            named = f"repetition {number} of {step.repeat.times}"
            reason = f"{named}; {again.reason}" if again.reason else named
            key = f"{once_key}/again:{number}"
            plans.append(self._plan(step, key, replace(again, reason=reason), scope))
        return plans

    def _waited(self, step: Step, duration: Duration, moment: datetime, scope: Scope) -> datetime:
        later = self._later(duration, moment, scope)
        if later is None:
            raise RenderError(f"step {step.number}: {_NEVER}")
        return later

    def once_key(self, scope: Scope) -> str:
        """Under what its deliveries are planned once only; repetitions add something to it."""
        if not self.once_per and scope.group is None:
            return f"event:{scope.event.id}"
        values = [one.key(scope.activation, scope.zone) for one in self.once_per]
        if scope.group is not None and not values:
            values = [str(scope.event.id), scope.group.key]
        key = f"{scope.event.account}:{orjson.dumps(values).decode()}"
        if len(key.encode()) <= _LONGEST_KEY:
            return key
        return f"{scope.event.account}:{blake2b(key.encode(), digest_size=16).hexdigest()}"

    def _later(self, duration: Duration, moment: datetime, scope: Scope) -> datetime | None:
        if self.timing.business is None:
            return moment + duration.plain
        return self.timing.business.after(duration, moment, scope.zone)

    def _dispatch(self, moment: datetime, waited: list[str], scope: Scope) -> Dispatch:
        reason = f"waits {' and '.join(waited)}" if waited else None
        expires_at = None
        if self.timing.expires is not None:
            late = max(scope.now - scope.event.at, timedelta(0))
            expires_at = moment - late + self.timing.expires
            if expires_at <= moment:
                return Dispatch(
                    State.SKIPPED, moment, "it came too late: it had expired", expires_at
                )
        off_hours = self.timing.off_hours(moment, expires_at, scope.zone)
        return off_hours or Dispatch(State.PLANNED, moment, reason, expires_at)

    def _plan(self, step: Action, once_key: str, dispatch: Dispatch, scope: Scope) -> Plan:
        target = " ".join(_rendered(step.target, scope).split())
        state, reason = dispatch.state, dispatch.reason
        refusal = self._refusal(step, target, scope)
        if refusal is not None:
            state, reason = State.SKIPPED, refusal
        is_pending = dispatch.send_at > scope.now or step.approver is not None
        plan = Plan(
            step=step.number,
            channel=step.channel,
            target=target[:_LONGEST_TARGET],
            once_key=once_key,
            send_at=dispatch.send_at,
            state=state,
            text=_rendered(step.text, scope),
            subject=_rendered(step.subject, scope) or None,
            fields=self._fields(step.fields, dispatch.send_at, scope),
            reason=reason,
            expires_at=dispatch.expires_at,
            withdraw_on=_withdraw_on(step, scope.event, is_pending=is_pending),
            on_undo=step.on_undo,
            shadow=self.shadow,
            on_fail=tuple(
                self._plan(instead, f"{once_key}{_INSTEAD}{number}", dispatch, scope)
                for number, instead in enumerate(step.on_fail, 1)
            ),
        )
        return plan if step.approver is None else asked(plan, step.approver, scope)

    def _refusal(self, step: Action, target: str, scope: Scope) -> str | None:
        if step.target is not None and not target.strip("@#"):
            return f"nobody to send it to: {step.target.text} came out empty"
        if len(target) > _LONGEST_TARGET:
            return f"nobody can be called that: the target has {len(target)} characters"
        return self.reach.refusal(scope.event.account, step.channel, target)

    def _fields(
        self, fields: Mapping[str, Value], moment: datetime, scope: Scope
    ) -> dict[str, Any] | None:
        written = {}
        for name, value in fields.items():
            if isinstance(value, Duration):
                later = self._later(value, moment, scope)
                if later is None:
                    raise RenderError(f"{name}: {_NEVER}")
                written[name] = _rfc3339(later)
            elif text := _rendered(value, scope):
                written[name] = _date(name, text) if name in DATES else text
        return written or None


def is_instead(once_key: str) -> bool:
    """Whether a delivery of this key goes out instead of one that has failed."""
    _, found, number = once_key.rpartition(_INSTEAD)
    return bool(found) and number.isdigit()


def _rendered(template: Template | None, scope: Scope) -> str:
    return "" if template is None else template.render(scope.values(template.nouns))


def _date(name: str, text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RenderError(f"{name}: {text!r} is not a date") from None
    if moment.tzinfo is None:
        raise RenderError(f"{name}: {text!r} does not say in which time zone it is")
    return _rfc3339(moment)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _withdraw_on(step: Action, event: Event, *, is_pending: bool) -> frozenset[str]:
    """The events that make a delivery pointless while it has not gone out."""
    if not event.task_id:
        return frozenset()
    if is_pending or event.kind in CLOCK_KINDS:
        return ends_waiting(event.kind, event.alarm)
    # What would be rewritten the moment it is out need not go out.
    return _UNDONE_BY.get(event.kind, frozenset()) if step.on_undo else frozenset()


def _moves(date: str | None) -> frozenset[str]:
    """The `words` of events by which a date of a task moves; any of them where that is not told."""
    if date == "updated_at":  # no event names it: whatever is changed was updated
        return frozenset({Kind.RESCHEDULED.value, Kind.REASSIGNED.value, Kind.CHANGED.value})
    return frozenset({f"{Kind.RESCHEDULED}:{date}" if date else Kind.RESCHEDULED.value})


def ends_waiting(kind: Kind, alarm: str | None) -> frozenset[str]:
    """What makes pointless what waits because of such an event, by the `words` of events.

    An alarm ends with the date that it counts from: for another date it would not ring again.
    """
    if kind in CLOCK_KINDS:
        return _ENDS_ALARMS | _moves(date_of(alarm))
    undone = Kind.REOPENED if kind is Kind.COMPLETED else Kind.COMPLETED
    return frozenset({undone.value, Kind.DELETED.value}) - {kind.value}
