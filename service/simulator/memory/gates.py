"""What becomes of the deliveries of a simulation whose time has come."""

from collections.abc import Callable, Sequence
from datetime import datetime

from service.domain.model import State
from service.domain.silences import Silence
from service.outbox import cancellation, silences
from service.rules.planning import is_instead
from service.rules.timing import SendDecision
from service.rules.verdict import Plan
from service.simulator.memory.deliveries import Delivery
from service.simulator.memory.mutes import MemoryMuting


class Exit:
    """Lets deliveries go out, or says why not, as claiming does with those in the tables.

    `has_ended` gives the reason where `until` has become true, `off_hours` what becomes of one that
    is late, outside the hours of its rule, `unassigned` why there is no employee to tell.
    """

    def __init__(
        self,
        silenced: Sequence[Silence],
        muting: MemoryMuting,
        has_ended: Callable[[Delivery], str | None],
        off_hours: Callable[[Delivery], SendDecision | None],
        unassigned: Callable[[Delivery], str | None],
    ) -> None:
        self._unassigned = unassigned
        self._silenced = silenced
        self._muting = muting
        self._has_ended = has_ended
        self._off_hours = off_hours

    def fate(self, one: Delivery, now: datetime) -> SendDecision:
        """What becomes of it; SENT where nothing keeps it from going out."""
        if one.updates is not None:
            return SendDecision(State.SENT, now)
        if (late := _lateness(one.order.plan, now)) is not None:
            return SendDecision(State.EXPIRED, now, late)
        hindrance = None
        if one.approves is None and not one.is_excused:
            hindrance = self._hindrance(one, now)
        return hindrance or SendDecision(State.SENT, now)

    def _hindrance(self, one: Delivery, now: datetime) -> SendDecision | None:
        """What keeps it from going out, in the order in which the worker asks."""
        if (reason := self._has_ended(one)) is not None:
            return SendDecision(State.CANCELLED, now, reason)
        if (
            not is_instead(one.order.plan.once_key)
            and (dispatch := self._off_hours(one)) is not None
        ):
            return dispatch
        if (reason := self._refusal(one, now)) is not None:
            return SendDecision(State.SKIPPED, now, reason)
        return None

    def _refusal(self, one: Delivery, now: datetime) -> str | None:
        if one.order.shadow:
            return cancellation.only_on_trial(one.order.plan.channel, one.order.plan.target)
        if (reason := silences.refusal_of(self._silenced, one.order, now)) is not None:
            return reason
        return self._muting.refusal(one.order.plan.muted_by) or self._unassigned(one)


def _lateness(plan: Plan, now: datetime) -> str | None:
    """Why it must not go out any more: nobody has approved it in time, or it has expired."""
    expires_at = plan.expires_at if plan.asks is None else plan.asks.expires_at
    if expires_at is None or expires_at > now:
        return None
    said = "it was too late: wanted by"
    if plan.asks is not None:
        said = f"nobody has approved it: {plan.approver} was asked until"
    return f"{said} {expires_at:%Y-%m-%d %H:%M} UTC"
