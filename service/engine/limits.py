"""The `limit` of a rule: messages beyond it are skipped when they are planned, with the reason.

A message counts at the moment when it goes out, not when it is planned: one that is held overnight
counts in the morning. One that was withdrawn does not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from service.engine.transaction import Transaction
from service.outbox import DeliveryRequest, Identity
from service.rules.limit import Limit


async def within_limits(
    tx: Transaction, orders: Sequence[DeliveryRequest], limits: Mapping[str, Limit]
) -> list[DeliveryRequest]:
    """All of these orders, in the same order, those beyond their rule's limit marked as skipped.

    `limits` are by rule id; orders of other rules pass at no cost. An order that `once_per` will
    keep from being planned again does not count.
    """
    counted = [one for one in orders if _takes_room(one, limits)]
    if not counted:
        return list(orders)
    moments = {
        rule: await _moments(tx, limits[rule], [one for one in counted if one.rule == rule])
        for rule in sorted({one.rule for one in counted})
    }
    before = await tx.outbox.placed_before(counted)
    return [
        _admitted(one, limits[one.rule], moments[one.rule], before)
        if _takes_room(one, limits)
        else one
        for one in orders
    ]


def _takes_room(order: DeliveryRequest, limits: Mapping[str, Limit]) -> bool:
    return order.rule in limits and not order.is_over


async def _moments(
    tx: Transaction, limit: Limit, orders: Sequence[DeliveryRequest]
) -> list[datetime]:
    """When the rule's messages go out that count in the same period as any of these orders."""
    wanted = [one.plan.send_at for one in orders]
    begin, end = min(wanted) - limit.period, max(wanted) + limit.period
    return await tx.outbox.limited(orders[0].rule, begin, end, shadow=orders[0].shadow)


def _admitted(
    order: DeliveryRequest, limit: Limit, moments: list[datetime], before: set[Identity]
) -> DeliveryRequest:
    if order.identity in before:
        return order
    if not limit.admits(order.plan.send_at, moments):
        return order.skipped(limit.refusal)
    moments.append(order.plan.send_at)
    before.add(order.identity)
    return replace(order, is_limited=True)
