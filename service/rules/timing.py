"""When the messages of a rule are sent: its opening hours, and when messages expire."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from service.domain.alarms import announced_by
from service.domain.durations import Duration
from service.domain.model import State, Task
from service.domain.opening_hours import Hours
from service.rules.language.date_format import DATE_FORMAT
from service.rules.language.expressions import UTC_ZONE, EvaluationError, Expression
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import Scope, lasting

_EXPIRED = "too late: the rule's `expires` time had already passed"


@dataclass(frozen=True, slots=True)
class SendDecision:
    """Whether and when one delivery is sent; the reason if it is held, skipped or has waited.

    `announces`: the future date that the message announces, if any.
    """

    state: State
    send_at: datetime
    reason: str | None = None
    expires_at: datetime | None = None
    announces: datetime | None = None


@dataclass(frozen=True, slots=True)
class RuleHours:
    """Opening hours, and what happens to messages outside of them; for tasks with the `condition`.

    The hours are None if the configuration does not have them.
    """

    hours: Hours | None
    outside: Literal["hold", "skip", "ignore"] = "hold"
    condition: Expression | None = None

    def are_for(self, task: Task | None, now: datetime) -> bool:
        """Whether they count for this task; not if the condition cannot be evaluated."""
        if self.condition is None:
            return True
        try:
            reads = by_noun([self.condition.reads])
            return task is not None and self.condition.test(lasting(task, now, reads), UTC_ZONE)
        except EvaluationError:
            return False


@dataclass(frozen=True, slots=True)
class Timing:
    """When a message may be sent: inside the hours, otherwise held or skipped; and until when.

    Of several `hours`, the first that are for the task count. `business` are the opening hours that
    business hours and days are counted by.
    """

    hours: tuple[RuleHours, ...] = ()
    expires: timedelta | None = None
    business: Hours | None = None

    def off_hours(
        self, task: Task | None, moment: datetime, expires_at: datetime | None, zone: ZoneInfo
    ) -> SendDecision | None:
        """The decision on a message that is due outside the hours; None if it is due inside.

        `task` is the one that it is about, as it was when the rule decided; None if it is about
        several, or none.
        """
        chosen = next((one for one in self.hours if one.are_for(task, moment)), None)
        hours = None if chosen is None else chosen.hours
        if chosen is None or hours is None or chosen.outside == "ignore":
            return None
        if hours.is_open(moment, zone):
            return None
        outside = f"outside {hours.name} hours"
        if chosen.outside == "skip":
            return SendDecision(State.SKIPPED, moment, outside, expires_at)
        opening = hours.next_open(moment, zone)
        if opening is None:
            return SendDecision(
                State.SKIPPED, moment, f"{outside}, which never open again", expires_at
            )
        until = opening.astimezone(zone).strftime(DATE_FORMAT)
        if expires_at is not None and expires_at <= opening:
            reason = f"{outside} until {until}, and it expires before that"
            return SendDecision(State.SKIPPED, moment, reason, expires_at)
        return SendDecision(State.HELD, opening, f"{outside}: waiting until {until}", expires_at)

    def until_open(self, task: Task | None, moment: datetime, zone: ZoneInfo) -> datetime:
        """When the hours open, if a message that is due at this time would be held for them.

        `task`: see `off_hours`.
        """
        dispatch = self.off_hours(task, moment, None, zone)
        return dispatch.send_at if dispatch is not None and dispatch.state is State.HELD else moment

    def dispatch(self, moment: datetime, waited: Sequence[str], scope: Scope) -> SendDecision:
        """The decision on a message that is due at this time, after the waits `waited`."""
        reason = f"waiting for {' and '.join(waited)}" if waited else None
        expires_at = None
        if self.expires is not None:
            late = max(scope.now - scope.event.at, timedelta(0))
            expires_at = moment - late + self.expires
            if expires_at <= moment:
                return SendDecision(State.SKIPPED, moment, _EXPIRED, expires_at)
        task = None if scope.group is not None else scope.event.after or scope.event.before
        off_hours = self.off_hours(task, moment, expires_at, scope.zone)
        dispatch = off_hours or SendDecision(State.PLANNED, moment, reason, expires_at)
        announced = _announced(moment, scope)
        return dispatch if announced is None else replace(dispatch, announces=announced)

    def after(self, duration: Duration, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """This time plus the duration; None if the hours never open for so long."""
        if self.business is None:
            return moment + duration.plain
        return self.business.after(duration, moment, zone)


def _announced(moment: datetime, scope: Scope) -> datetime | None:
    """The future date that the event's alarm announces, if it is still in the future then.

    For a digest, the dates of its tasks are announced.
    """
    task = scope.event.after
    if task is None or scope.group is not None:
        return None
    found = announced_by(scope.event.alarm, task, scope.zone)
    return found[1] if found is not None and moment < found[1] else None
