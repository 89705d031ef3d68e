"""What goes beyond the limit of its rule: skipped when it is planned, with the reason.

Counted is what a rule has planned, by the moment at which it is to go out, as long as it was not
withdrawn: what was held overnight counts in the morning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from service.books import Books
from service.model import State
from service.outbox import Identity, Order
from service.rules.limit import Limit


async def within_limits(
    books: Books, orders: Sequence[Order], limits: Mapping[str, Limit]
) -> list[Order]:
    """The orders, in their order, of which those are skipped that their rule has no room for.

    `limits` are by rule; others cost nothing. What once_per keeps back takes no room.
    """
    counted = [one for one in orders if _takes_room(one, limits)]
    if not counted:
        return list(orders)
    moments = {
        rule: await _moments(books, limits[rule], [one for one in counted if one.rule == rule])
        for rule in sorted({one.rule for one in counted})
    }
    before = await books.placed_before(counted)
    return [
        _admitted(one, limits[one.rule], moments[one.rule], before)
        if _takes_room(one, limits)
        else one
        for one in orders
    ]


def _takes_room(order: Order, limits: Mapping[str, Limit]) -> bool:
    return order.rule in limits and order.plan.state is not State.SKIPPED


async def _moments(books: Books, limit: Limit, orders: Sequence[Order]) -> list[datetime]:
    """When those messages of a rule go out that may take the room of these orders of its own."""
    wanted = [one.plan.send_at for one in orders]
    begin, end = min(wanted) - limit.period, max(wanted) + limit.period
    return await books.limited(orders[0].rule, begin, end, shadow=orders[0].shadow)


def _admitted(order: Order, limit: Limit, moments: list[datetime], before: set[Identity]) -> Order:
    if order.identity in before:
        return order
    if not limit.admits(order.plan.send_at, moments):
        return order.skipped(limit.refusal)
    moments.append(order.plan.send_at)
    before.add(order.identity)
    return replace(order, is_limited=True)
