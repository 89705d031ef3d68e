"""Which messages reach a customer: the page asks before it sends one of them again."""

from collections.abc import Iterable, Mapping

import asyncpg

from service.domain.model import Task
from service.rules.recipients import reaches_customer


def to_customers(
    messages: Iterable[asyncpg.Record], tasks: Mapping[int, Task | None]
) -> frozenset[int]:
    """The numbers of those that reach a customer, by the system or at their own address.

    `tasks` has the task that each message is about, by the message's number.
    """
    return frozenset(
        one["id"]
        for one in messages
        if one["is_customer_digest"]
        or reaches_customer(tasks.get(one["id"]), one["channel"], one["target"])
    )
