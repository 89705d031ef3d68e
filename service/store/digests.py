"""Open digests in the database: joining them, and taking those that are due."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg

from service.domain.digests import Digest, Join, Joining, Member
from service.domain.model import Cause, Kind
from service.domain.schedules import NONE_TOGETHER
from service.store import Connection, column
from service.store.events import event_from
from service.store.tasks import PostgresTasks


class PostgresDigests:
    """`DigestRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def join(self, joins: Sequence[Join], now: datetime) -> None:
        """Add them in a fixed order to avoid deadlocks."""
        together: dict[tuple[str, str, str], list[Join]] = defaultdict(list)
        for one in joins:
            together[one.rule, one.account, one.joining.key].append(one)
        for _, alike in sorted(together.items(), key=lambda pair: pair[0]):
            left = alike
            while left:
                left = await self._fill(left, now)

    async def take(
        self,
        accounts: Iterable[str],
        now: datetime,
        limit: int,
        together: Mapping[str, datetime] = NONE_TOGETHER,
    ) -> list[Digest]:
        """No other worker gets the same ones."""
        rows = await self._connection.fetch(
            """
            SELECT id, rule, account, key, event, kind, cause, closes_at FROM digests
            LEFT JOIN unnest($4::text[], $5::timestamptz[]) AS joint (rule, until) USING (rule)
            WHERE closes_at <= $1
              AND CASE WHEN until IS NOT NULL THEN closes_at <= until ELSE account = ANY ($3) END
            ORDER BY closes_at, id LIMIT $2 FOR UPDATE OF digests SKIP LOCKED
            """,
            now,
            limit,
            list(accounts),
            list(together),
            list(together.values()),
        )
        if not rows:
            return []
        members = await self._members([row["id"] for row in rows])
        await self._connection.execute("DELETE FROM digests WHERE id = ANY ($1)", list(members))
        return [_digest(row, members[row["id"]]) for row in rows]

    async def _fill(self, joins: list[Join], now: datetime) -> list[Join]:
        """Add as many as the open digest has room for; returns the others."""
        first, joining = joins[0], joins[0].joining
        digest, size = await self._open(first, joining, now)
        room = max(joining.most - size, 1)
        members = {one.key: one for one in joins[:room]}
        # The view `digest_tasks` has the tasks and accounts as they are.
        elsewhere = [None if name == first.account else name for name, _ in members]
        await self._connection.execute(
            """
            INSERT INTO digest_members (digest, task, account, event, anchor)
            SELECT $1, coalesce(account || '/', '') || task, account, event, anchor
            FROM unnest($2::text[], $3::text[], $4::bigint[], $5::timestamptz[])
              AS new (task, account, event, anchor)
            ON CONFLICT (digest, task)
            DO UPDATE SET event = excluded.event, anchor = excluded.anchor
            """,
            digest,
            [task for _, task in members],
            column(elsewhere),
            [one.event.id for one in members.values()],
            [one.joining.anchor for one in members.values()],
        )
        await self._connection.execute(
            """
            UPDATE digests SET size = members.size, is_full = members.size >= $2,
                closes_at = CASE WHEN members.size >= $2 THEN least(closes_at, $3)
                                 ELSE closes_at END
            FROM (SELECT count(*) AS size FROM digest_members WHERE digest = $1) AS members
            WHERE id = $1
            """,
            digest,
            joining.most,
            now,
        )
        return joins[room:]

    async def _open(self, first: Join, joining: Joining, now: datetime) -> tuple[int, int]:
        """The id and the size of the open digest, locked; a new one if there is none."""
        event = first.event
        row = await self._connection.fetchrow(
            """
            INSERT INTO digests (rule, account, key, event, kind, cause, opened_at, closes_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7::timestamptz, $7::timestamptz + $8)
            ON CONFLICT (rule, account, key) WHERE NOT is_full DO UPDATE SET rule = excluded.rule
            RETURNING id, size
            """,
            first.rule,
            first.account,
            joining.key,
            event.id,
            event.kind,
            event.cause,
            now,
            joining.wait,
        )
        if row is None:
            raise RuntimeError("PostgreSQL returned no row of an insert that returns one")
        return row["id"], row["size"]

    async def _members(self, digests: Sequence[int]) -> dict[int, list[Member]]:
        """The members of the digests with these ids, with their tasks as they are now."""
        rows = await self._connection.fetch(
            "SELECT digest, account, task, anchor FROM digest_tasks WHERE digest = ANY ($1)"
            " ORDER BY digest, event",
            digests,
        )
        present = await PostgresTasks(self._connection).present(
            [(row["account"], row["task"]) for row in rows]
        )
        members: dict[int, list[Member]] = {digest: [] for digest in digests}
        for row in rows:
            key = row["account"], row["task"]
            members[row["digest"]].append(Member(*key, row["anchor"], present.get(key)))
        return members


def _digest(row: asyncpg.Record, members: Sequence[Member]) -> Digest:
    return Digest(
        rule=row["rule"],
        account=row["account"],
        key=row["key"],
        event=row["event"],
        kind=Kind(row["kind"]),
        cause=Cause(row["cause"]),
        closes_at=row["closes_at"],
        members=tuple(members),
    )


async def joined(connection: Connection, until: datetime) -> list[tuple[Join, datetime]]:
    """The members of the digests that are due by then, each with its digest's due time (UTC)."""
    rows = await connection.fetch(
        """
        SELECT digests.rule, digests.account AS home, digests.key, closes_at, members.account,
               members.task, members.event, anchor, events.kind, events.cause, at, changed, alarm,
               signal
        FROM digests JOIN digest_tasks AS members ON members.digest = digests.id
        JOIN events ON events.id = members.event
        WHERE closes_at <= $1 ORDER BY digests.id, members.event
        """,
        until,
    )
    return [(_join(row), row["closes_at"]) for row in rows]


def _join(row: asyncpg.Record) -> Join:
    return Join(
        row["rule"],
        row["home"],
        event_from(row, None, None),
        Joining(row["key"], timedelta(0), sys.maxsize, row["anchor"]),
    )
