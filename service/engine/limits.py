"""The `limit` of a rule: requests above it are skipped when they are planned, with the reason.

A message counts at the time when it is sent, not when it is planned: a message that is held
overnight counts in the morning. A cancelled message does not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from service.engine.transaction import Transaction
from service.outbox import DeliveryRequest, Identity
from service.rules.limit import Limit


async def within_limits(
    tx: Transaction, requests: Sequence[DeliveryRequest], limits: Mapping[str, Limit]
) -> list[DeliveryRequest]:
    """All of these requests, in the same order, those above their rule's limit marked as skipped.

    `limits` are by rule id; requests of other rules cost nothing. A request that `once_per` makes a
    duplicate does not count.
    """
    counted = [one for one in requests if _takes_room(one, limits)]
    if not counted:
        return list(requests)
    moments = {
        rule: await _moments(tx, limits[rule], [one for one in counted if one.rule == rule])
        for rule in sorted({one.rule for one in counted})
    }
    before = await tx.outbox.placed_before(counted)
    return [
        _admitted(one, limits[one.rule], moments[one.rule], before)
        if _takes_room(one, limits)
        else one
        for one in requests
    ]


def _takes_room(request: DeliveryRequest, limits: Mapping[str, Limit]) -> bool:
    return request.rule in limits and not request.is_over


async def _moments(
    tx: Transaction, limit: Limit, requests: Sequence[DeliveryRequest]
) -> list[datetime]:
    """Send times of the rule's messages that count in the same period as any of these requests."""
    wanted = [one.plan.send_at for one in requests]
    begin, end = min(wanted) - limit.period, max(wanted) + limit.period
    return await tx.outbox.limited(requests[0].rule, begin, end, shadow=requests[0].shadow)


def _admitted(
    request: DeliveryRequest, limit: Limit, moments: list[datetime], before: set[Identity]
) -> DeliveryRequest:
    if request.identity in before:
        return request
    if not limit.admits(request.plan.send_at, moments):
        return request.skipped(limit.refusal)
    moments.append(request.plan.send_at)
    before.add(request.identity)
    return replace(request, is_limited=True)
