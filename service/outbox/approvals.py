"""Approval of deliveries: a person approves or declines each of them once, perhaps by a link."""

import hmac
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from urllib.parse import urlencode

import asyncpg
from pydantic import SecretStr

from service.clock import Clock
from service.domain.actors import Actor, with_reason
from service.domain.model import State
from service.outbox import Lanes, NoSuchDelivery, NotPossible, undoing
from service.outbox.repository import PostgresOutbox
from service.rules.contacts.unsubscribe_links import UnsubscribeLinks
from service.store import Connection, Pool
from service.store.operators import changes
from service.store.operators.changes import Action


class LinkTo(StrEnum):
    """The page that a link in a message leads to: the approver's, or that of any other answer."""

    APPROVE = "approve"
    ANSWER = "answer"


_PATHS = {LinkTo.APPROVE: "approvals", LinkTo.ANSWER: "answers"}


class DeliveryLinks:
    """Makes links to pages at `url` that are about one delivery, and verifies them.

    They are signed with the admin token. Without one, the pages are available on their own machine
    only, and the signature proves nothing. `unsubscribing` are the links for customers.
    """

    def __init__(self, url: str, token: SecretStr | None) -> None:
        self._url = url.rstrip("/")
        self._token = b"" if token is None else token.get_secret_value().encode()
        self.unsubscribing = UnsubscribeLinks(url, token)

    @property
    def lead_somewhere(self) -> bool:
        """Whether the address of the pages is known."""
        return bool(self._url)

    def to(self, page: LinkTo, delivery: int, key: str) -> str:
        """The link to the page about a delivery; `key` is the delivery's own."""
        query = urlencode({"token": self.sign(page, delivery, key)})
        return f"{self._url}/{_PATHS[page]}/{delivery}?{query}"

    def is_genuine(self, page: LinkTo, delivery: int, key: str, token: str) -> bool:
        """Whether the link to this delivery was made here."""
        return hmac.compare_digest(token.encode(), self.sign(page, delivery, key).encode())

    def sign(self, page: LinkTo, delivery: int, key: str) -> str:
        """The proof that whoever has it was sent this delivery, or the question about it."""
        return hmac.digest(self._token, f"{page}:{delivery}:{key}".encode(), sha256).hex()


async def approve(
    pool: Pool,
    clock: Clock,
    delivery: int,
    *,
    by: Actor,
    rewritable: Collection[str] = (),
    pause: timedelta = timedelta(),
) -> Lanes:
    """Let a delivery that waits for approval be sent when it is due; returns lanes to wake up.

    It is sent after the `pause` at the earliest. The question says who has decided, if it was sent
    by one of these `rewritable` channels. Raises NoSuchDelivery, or NotPossible, for instance if it
    was decided already.
    """
    now = clock.now()
    async with pool.acquire() as connection, connection.transaction():
        await _demand_open(connection, delivery, now)
        lane: str = await connection.fetchval(
            """
            UPDATE deliveries SET state = 'planned', approved_by = $2,
                reason = 'approved by ' || $2, next_attempt_at = greatest(send_at, $3)
            WHERE id = $1 RETURNING lane
            """,
            delivery,
            by.name,
            now + pause,
        )
        await changes.record(connection, by, Action.MESSAGE_APPROVED, delivery, now)
        said = f"(approved by {by})"
        return frozenset({lane}) | await undoing.close_questions(
            connection, delivery, said, rewritable, now
        )


async def decline(
    pool: Pool,
    clock: Clock,
    delivery: int,
    *,
    by: Actor,
    rewritable: Collection[str] = (),
    reason: str | None = None,
) -> Lanes:
    """Cancel a delivery that waits for approval; the rest as `approve`."""
    now, declined = clock.now(), with_reason(f"declined by {by}", reason)
    async with pool.acquire() as connection, connection.transaction():
        await _demand_open(connection, delivery, now)
        await PostgresOutbox(connection).cancel([delivery], declined, now)
        await changes.record(connection, by, Action.MESSAGE_DECLINED, delivery, now, reason or "")
        return await undoing.close_questions(connection, delivery, f"({declined})", rewritable, now)


async def read(pool: Pool, delivery: int) -> asyncpg.Record | None:
    """The details of a delivery for its approver; None if it needs no approval."""
    return await pool.fetchrow(
        """
        SELECT deliveries.id, deliveries.account, deliveries.task, rule,
               channel, target, text, subject, fields,
               state, reason, approver, approve_by, approved_by, send_at, settled_at, key::text,
               coalesce(events.after, events.before) ->> 'title' AS title,
               coalesce(events.after, events.before) #>> '{customer,name}' AS customer
        FROM deliveries JOIN events ON events.id = event
        WHERE deliveries.id = $1 AND approver IS NOT NULL
        """,
        delivery,
    )


async def _demand_open(connection: Connection, delivery: int, now: datetime) -> None:
    """Lock a delivery that waits for approval; raises if it does not exist or does not wait."""
    row = await connection.fetchrow(
        "SELECT state, reason, approver, approve_by, approved_by FROM deliveries"
        " WHERE id = $1 FOR UPDATE",
        delivery,
    )
    if row is None:
        raise NoSuchDelivery(f"there is no delivery {delivery}")
    if (refusal := _refusal(row, now)) is not None:
        raise NotPossible(f"message {delivery} {refusal}")


def _refusal(row: asyncpg.Record, now: datetime) -> str | None:
    if row["approver"] is None:
        return "needs no approval"
    if row["approved_by"] is not None:
        return f"was already approved by {row['approved_by']}"
    if row["state"] != State.HELD:
        return f"can no longer be approved or declined: {row['reason'] or row['state']}"
    if row["approve_by"] <= now:
        return "can no longer be approved or declined: the time to answer has passed"
    return None
