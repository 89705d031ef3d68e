"""Which messages reach a customer: the page asks before it sends one of them again."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from service.domain.model import State, Task
from service.rules.recipients import reaches_customer

# What a person has sent to a customer waits so long.
TO_UNDO = timedelta(seconds=10)


def can_be_stopped(message: Mapping[str, Any] | asyncpg.Record, now: datetime) -> bool:
    """Whether a message to a customer goes out within that time."""
    due = message["next_attempt_at"]
    return message["state"] == State.PLANNED and due is not None and now < due <= now + TO_UNDO


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
