"""`approve`: a delivery that waits for approval, and the question to the approver."""

from dataclasses import replace
from datetime import timedelta

from service.domain.model import Event, State, Task
from service.domain.system_actions import NOTIFICATIONS, UNSEEN_TEXT, in_words
from service.rules.language.date_format import DATE_FORMAT
from service.rules.language.scope import Scope
from service.rules.steps import Approver
from service.rules.verdict import Plan

# How long an approver has to answer if the rule has no `expires`.
ANSWER_WITHIN = timedelta(days=1)


def asked(plan: Plan, approver: Approver, scope: Scope) -> Plan:
    """The plan, held until the approver answers; raises RenderError.

    A plan that is not sent anyway, because it is skipped or a shadow, is returned unchanged.
    """
    if plan.state is State.SKIPPED or plan.shadow:
        return plan
    target = ""
    if approver.target is not None:
        target = " ".join(approver.target.render(scope.values(approver.target.nouns)).split())
        if not target.strip("@#"):
            reason = f"no approver: {approver.target.text} is empty for this task"
            return replace(plan, state=State.SKIPPED, reason=reason)
    open_until = plan.expires_at or plan.send_at + ANSWER_WITHIN
    until = open_until.astimezone(scope.zone).strftime(DATE_FORMAT)
    question = Plan(
        step=plan.step,
        channel=approver.channel,
        target=target,
        once_key="",  # the delivery that it is about, which has no number yet
        send_at=scope.now,
        state=State.PLANNED,
        text=_question(plan, scope.event, f"{until} ({scope.zone.key})"),
        subject=f"Approval needed: {_receiver(plan)}",
        expires_at=open_until,
        withdraw_on=plan.withdraw_on,
    )
    reason = f"waiting for approval by {question.receiver} (until {until})"
    return replace(plan, state=State.HELD, reason=reason, asks=question)


def _question(plan: Plan, event: Event, until: str) -> str:
    """The text for the approver: what is sent to whom, and what happens without an answer."""
    about = f", about {_about(event.task)}" if event.task_id else ""
    fields = [f"{name}: {value}" for name, value in (plan.fields or {}).items()]
    content = "\n".join(filter(None, (plan.subject, plan.text, *fields)))
    return "\n".join(
        (
            f"Approve this? To {_receiver(plan)}{about}",
            content or UNSEEN_TEXT,
            f"If nobody answers by {until}, it is not sent.",
        )
    )


def _receiver(plan: Plan) -> str:
    return in_words(plan.channel, plan.target) if plan.channel in NOTIFICATIONS else plan.receiver


def _about(task: Task) -> str:
    customer = task.customer and task.customer.name
    title = task.title or task.id
    return f"{title} for {customer}" if customer else title
