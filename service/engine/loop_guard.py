"""The loop guard: prevents a rule from reacting to its own effects.

A rule that creates a task for each new task would otherwise never stop, and neither would two rules
that undo each other's changes. Other rules may react to what a rule has written.
"""

from service.domain.model import Cause, Kind
from service.domain.system_actions import CREATE
from service.engine.transaction import Transaction
from service.outbox import DeliveryRequest
from service.store.tasks import Key

_ENDLESS = "stopped to prevent a loop: this was caused by a change that the rule itself made"


async def without_loops(tx: Transaction, requests: list[DeliveryRequest]) -> list[DeliveryRequest]:
    """All of these requests, in the same order; those that would loop are marked as skipped."""
    made = {_key(request) for request in requests if _is_about_making(request)}
    changed = {request.event.id for request in requests if request.event.cause is Cause.WRITE}
    creator_rules = await tx.provenance.creator_rules(made)
    writer_rules = await tx.provenance.writer_rules(changed)
    return [
        request.skipped(_ENDLESS)
        if request.rule in writer_rules.get(request.event.id, ())
        or (_is_about_making(request) and request.rule in creator_rules.get(_key(request), ()))
        else request
        for request in requests
    ]


def _is_about_making(request: DeliveryRequest) -> bool:
    """Whether it creates a task, or is caused by a task that Taskbell created."""
    is_ours = request.event.cause is Cause.WRITE and request.event.kind is Kind.CREATED
    return is_ours or request.plan.channel == CREATE


def _key(request: DeliveryRequest) -> Key:
    return request.event.account, request.event.task_id
