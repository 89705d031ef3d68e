"""Plans the deliveries of a rule that matched, each with its time and its reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from service.domain.days import Calendar
from service.domain.durations import Duration
from service.domain.model import State, Task
from service.domain.operators.buttons import ESCALATION, Button
from service.domain.system_actions import written_to
from service.rules import recipients
from service.rules.approval import ANSWER_WITHIN, asked
from service.rules.cancellation import withdraw_on
from service.rules.capabilities import Capabilities
from service.rules.language.expressions import Expression
from service.rules.language.liquid_limits import RenderedText
from service.rules.language.scope import Scope
from service.rules.language.templates import RenderError, Template
from service.rules.steps import DATES, Action, Step, Value
from service.rules.timing import SendDecision, Timing
from service.rules.verdict import INSTEAD, Plan, is_instead
from service.rules.visits import Visit, announced_visit

# Both are part of one index, of which PostgreSQL holds no entry above 2704 bytes.
_LONGEST_KEY = 400  # bytes
_LONGEST_TARGET = 320  # characters, as many as a mail address may have
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_AGAIN = "/again:"
OVER_ACCOUNTS = (
    "only the system of one account can be asked about a customer, and this is about several"
)
_NEVER = (
    "cannot calculate the date: the opening hours have too few open hours in the next ten years"
)


@dataclass(frozen=True, slots=True)
class Planning:
    """The second half of a rule: what to do, when, and how often; not sent if `shadow`.

    `is_together`: its messages are about several accounts, and so not for customers.
    """

    steps: tuple[Step, ...]
    once_per: tuple[Expression, ...]
    timing: Timing
    reach: Capabilities
    shadow: bool = False
    is_together: bool = False

    def plans(self, scope: Scope) -> tuple[Plan, ...]:
        """Every delivery, in order; raises EvaluationError or RenderError."""
        once_key = self.once_key(scope)
        moment = scope.now
        waited: list[str] = []
        plans: list[Plan] = []
        for step in self.steps:
            if isinstance(step, Action):
                dispatch = self.timing.dispatch(moment, waited, scope)
                plans += self._sendings(step, once_key, dispatch, scope)
                moment = dispatch.send_at
            else:
                moment = self._waited(step, step.duration, moment, scope)
                waited.append(step.duration.text)
        return tuple(plans)

    def anew(
        self, number: int, once_key: str, expires_at: datetime | None, scope: Scope
    ) -> Plan | None:
        """The plan of a message that is made again, to be sent now; None if its step is gone.

        Raises as `plans`.
        """
        step = self.action(number, once_key)
        if step is None:
            return None
        dispatch = SendDecision(State.PLANNED, scope.now, None, expires_at)
        return self._plan(step, once_key, dispatch, scope)

    def action(self, number: int, once_key: str) -> Action | None:
        """The step that makes the message with this key: this one, or one of its `on_fail`."""
        step = next((each for each in self.steps if each.number == number), None)
        if not isinstance(step, Action):
            return None
        if not is_instead(once_key):
            return step
        place = int(once_key.rpartition(INSTEAD)[2])
        return step.on_fail[place - 1] if 0 < place <= len(step.on_fail) else None

    def _sendings(
        self, step: Action, once_key: str, dispatch: SendDecision, scope: Scope
    ) -> list[Plan]:
        """The step once, and its repetitions, unless there is no receiver.

        Each repetition counts from the send time of the one before it, so that repetitions from a
        weekend are not all sent on Monday.
        """
        first = self._plan(step, once_key, dispatch, scope)
        is_refused = first.state is State.SKIPPED and dispatch.state is not State.SKIPPED
        if step.repeat is None or is_refused:
            return [first]
        plans = [first]
        for number in range(1, step.repeat.times + 1):
            moment = self._waited(step, step.repeat.every, plans[-1].send_at, scope)
            again = self.timing.dispatch(moment, [], scope)
            named = f"repetition {number} of {step.repeat.times}"
            reason = f"{named}; {again.reason}" if again.reason else named
            key = f"{once_key}{_AGAIN}{number}"
            plans.append(self._plan(step, key, replace(again, reason=reason), scope))
        return plans

    def _waited(self, step: Step, duration: Duration, moment: datetime, scope: Scope) -> datetime:
        later = self.timing.after(duration, moment, scope.zone)
        if later is None:
            raise RenderError(f"step {step.number}: {_NEVER}")
        return later

    def once_key(self, scope: Scope) -> str:
        """The deduplication key of the rule's deliveries; repetitions append their number."""
        if not self.once_per and scope.group is None:
            return f"event:{scope.event.id}"
        values = [one.key(scope.activation, scope.zone) for one in self.once_per]
        if scope.group is not None and not values:
            values = [str(scope.event.id), scope.group.key]
        key = f"{scope.event.account}:{orjson.dumps(values).decode()}"
        if len(key.encode()) <= _LONGEST_KEY:
            return key
        return f"{scope.event.account}:{blake2b(key.encode(), digest_size=16).hexdigest()}"

    def _plan(self, step: Action, once_key: str, dispatch: SendDecision, scope: Scope) -> Plan:
        target = " ".join(_rendered(step.target, scope).split())
        state, reason = dispatch.state, dispatch.reason
        refusal = self._refusal(step, target, scope)
        if refusal is not None:
            state, reason = State.SKIPPED, refusal
        is_pending = dispatch.send_at > scope.now or step.approver is not None
        reaches_customer = _reaches_customer(step.channel, target, scope)
        text = _text(step.text, scope)
        plan = Plan(
            step=step.number,
            channel=step.channel,
            target=target[:_LONGEST_TARGET],
            once_key=once_key,
            send_at=dispatch.send_at,
            state=state,
            text=text.text,
            markup=text.markup,
            subject=_rendered(step.subject, scope) or None,
            attach=step.attach,
            fields=self._fields(step.fields, dispatch.send_at, scope),
            reason=reason,
            expires_at=_wanted_by(dispatch, step) if reaches_customer else dispatch.expires_at,
            withdraw_on=withdraw_on(
                scope.event, is_pending=is_pending, is_undone=bool(step.on_undo)
            ).union([ESCALATION] if Button.ACKNOWLEDGE in step.buttons else []),
            buttons=() if reaches_customer else step.buttons,
            on_undo=step.on_undo,
            shadow=self.shadow,
            visit=self._visit(step, target, scope),
            even_if_told=step.even_if_told or _AGAIN in once_key,
            reaches_customer=reaches_customer,
            tells_of=scope.group if reaches_customer else None,
            on_fail=tuple(
                self._plan(instead, f"{once_key}{INSTEAD}{number}", dispatch, scope)
                for number, instead in enumerate(step.on_fail, 1)
            ),
        )
        return plan if step.approver is None else asked(plan, step.approver, scope)

    def _visit(self, step: Action, target: str, scope: Scope) -> Visit | None:
        event = scope.event
        tenant, task = self.reach.tenant(event.account), event.after or event.before
        return announced_visit(step.channel, target, tenant, task, scope.now, scope.zone)

    def _refusal(self, step: Action, target: str, scope: Scope) -> str | None:
        if step.target is not None and not target.strip("@#"):
            return recipients.nobody(step.target.text)
        if len(target) > _LONGEST_TARGET:
            return f"the recipient is too long: {len(target)} characters, at most {_LONGEST_TARGET}"
        happened = scope.event
        task = happened.after or happened.before
        place = written_to(happened.account, step.channel, target)
        return (
            recipients.employee_refusal(task, step.channel)
            or self.reach.refusal(place, step.channel, target)
            or _refused_by_customer(step.channel, target, scope)
            or self._over_accounts(step.channel, target, scope)
        )

    def _over_accounts(self, channel: str, target: str, scope: Scope) -> str | None:
        is_refused = self.is_together and _reaches_customer(channel, target, scope)
        return OVER_ACCOUNTS if is_refused else None

    def _fields(
        self, fields: Mapping[str, Value], moment: datetime, scope: Scope
    ) -> dict[str, Any] | None:
        written = {}
        for name, value in fields.items():
            if isinstance(value, Duration):
                later = self.timing.after(value, moment, scope.zone)
                if later is None:
                    raise RenderError(f"{name}: {_NEVER}")
                written[name] = _rfc3339(later)
            elif text := _rendered(value, scope):
                written[name] = _date(name, text, scope.zone) if name in DATES else text
        return written or None


def _reaches_customer(channel: str, target: str, scope: Scope) -> bool:
    if channel != "customer" and not target:
        return False
    return any(recipients.reaches_customer(one, channel, target) for one in _told_of(scope))


def _refused_by_customer(channel: str, target: str, scope: Scope) -> str | None:
    if channel != "customer" and not target:
        return None
    refusals = (recipients.customer_refusal(one, channel, target) for one in _told_of(scope))
    return next((refused for refused in refusals if refused), None)


def _wanted_by(dispatch: SendDecision, step: Action) -> datetime | None:
    """When a message to a customer expires: at the latest at the date that it announces.

    A message that needs approval has the usual time for the approval, too.
    """
    comes_at = dispatch.announces
    if comes_at is None or (step.approver and comes_at > dispatch.send_at + ANSWER_WITHIN):
        return dispatch.expires_at
    return min(comes_at, dispatch.expires_at or comes_at)


def _told_of(scope: Scope) -> Sequence[Task | None]:
    """The tasks that the message is about."""
    if scope.group is not None:
        return scope.group.tasks
    return (scope.event.after or scope.event.before,)


def _text(template: Template | None, scope: Scope) -> RenderedText:
    return RenderedText() if template is None else template.rendered(scope.values(template.nouns))


def _rendered(template: Template | None, scope: Scope) -> str:
    return "" if template is None else template.render(scope.values(template.nouns))


def _date(name: str, text: str, zone: ZoneInfo) -> str:
    """A date from a text; a day counts from its first second, or, if it is due, until its last."""
    try:
        if _DAY.fullmatch(text):
            return _rfc3339(Calendar(zone).moment(date.fromisoformat(text), name))
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RenderError(f"{name}: {text!r} is not a date") from None
    if moment.tzinfo is None:
        raise RenderError(f"{name}: {text!r} does not say in which time zone it is")
    return _rfc3339(moment)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
