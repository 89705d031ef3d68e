"""The loop guard: a rule does not act on something that is there only because of that rule.

A rule that creates a task for each new task would otherwise never stop, and neither would two
rules that undo each other's changes. Other rules may act on what a rule has written.
"""

from service.domain.model import Cause, Kind
from service.domain.system_actions import CREATE
from service.engine.transaction import Transaction
from service.outbox import DeliveryRequest
from service.store.tasks import Key

_ENDLESS = "stopped to prevent a loop: this was caused by a change that the rule itself made"


async def without_loops(tx: Transaction, orders: list[DeliveryRequest]) -> list[DeliveryRequest]:
    """All of these orders, in the same order; those that would go on for ever are skipped."""
    made = {_key(order) for order in orders if _is_about_making(order)}
    changed = {order.event.id for order in orders if order.event.cause is Cause.WRITE}
    makers = await tx.provenance.makers(made)
    changers = await tx.provenance.changers(changed)
    return [
        order.skipped(_ENDLESS)
        if order.rule in changers.get(order.event.id, ())
        or (_is_about_making(order) and order.rule in makers.get(_key(order), ()))
        else order
        for order in orders
    ]


def _is_about_making(order: DeliveryRequest) -> bool:
    """Whether it makes a task, or is caused by one that Taskbell made."""
    is_ours = order.event.cause is Cause.WRITE and order.event.kind is Kind.CREATED
    return is_ours or order.plan.channel == CREATE


def _key(order: DeliveryRequest) -> Key:
    return order.event.account, order.event.task_id
