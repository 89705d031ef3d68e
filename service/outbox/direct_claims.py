"""Claims deliveries in the transaction that places them, so that they are sent right after it.

Most webhooks take this way: a delivery that is due at once, and about which no gate has to ask the
database, is stored as being sent, under the lease of this process. The others wait for `claiming`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from service.domain.model import Event, State
from service.outbox import (
    LEASE,
    DeliveryRequest,
    Identity,
    claiming,
    destinations,
    gate_facts,
    gates,
    silences,
)
from service.outbox.claims import Claim, claim_of
from service.outbox.gates import Candidate
from service.rules.ruleset import Ruleset
from service.store import Connection, Row
from service.store.events import trace_of
from service.store.operators import rule_overrides
from service.store.tasks import task_json

Columns: TypeAlias = dict[str, Any]
"""A delivery by the columns of its table."""
EventIdentity: TypeAlias = tuple[int, Identity]

# What a delivery has only after it has waited, was tried, or was changed by a person.
_LATER = {
    **dict.fromkeys(("updates", "original", "undo", "receipt", "progress", "unread_since")),
    **dict.fromkeys(("approves", "approves_key", "approver", "approved_by", "approve_by")),
    **dict.fromkeys(("hold", "storm")),
    "attempts": 0,
    "unsent": 0,
    "asked_for": False,
    "at_once": False,
}


class DirectClaims:
    """The deliveries that one transaction places and claims at once.

    `room` has the lanes of this process that can send, and how many deliveries they can take. The
    gates decide by the `rules`, whose opening hours are in the accounts' `zones`. `claims` are to
    be sent after the commit, by their lanes.
    """

    def __init__(
        self, room: Mapping[str, int], rules: Ruleset, zones: Mapping[str, ZoneInfo]
    ) -> None:
        self._room = dict(room)
        self._rules = rules
        self._zones = zones
        self._begun: dict[EventIdentity, tuple[Columns, Candidate]] = {}
        self.claims: defaultdict[str, list[Claim]] = defaultdict(list)

    async def begin(
        self,
        connection: Connection,
        requests: Sequence[DeliveryRequest],
        rows: Sequence[Columns],
        now: datetime,
    ) -> None:
        """Change the rows of these requests that can be sent at once: they are being sent."""
        wanted = [number for number, one in enumerate(requests) if self._is_wanted(one, now)]
        if not wanted:
            return
        due = {number: _due(number, requests[number].event, rows[number]) for number in wanted}
        for one in await self._passing(connection, list(due.values()), now):
            request = requests[one.id]
            self._begun[request.event.id, request.identity] = due[one.id], one
            begun = {"state": State.SENDING, "attempts": 1, "lease_until": now + LEASE}
            rows[one.id].update(begun, next_attempt_at=None)

    def enter(self, placed: Sequence[asyncpg.Record]) -> frozenset[Identity]:
        """Make the claims of those that were placed and are new; returns their identities."""
        entered = set[Identity]()
        for row in placed:
            identity = row["rule"], row["step"], row["once_key"], row["target"]
            begun = self._begun.pop((row["event"], identity), None)
            if begun is None:
                continue
            due, candidate = begun
            due.update(id=row["id"], key=row["key"])
            candidate.id = row["id"]
            self.claims[due["lane"]].append(claim_of(due, candidate, frozenset(), None))
            entered.add(identity)
        return frozenset(entered)

    def _is_wanted(self, request: DeliveryRequest, now: datetime) -> bool:
        """Whether it may be sent at once, as far as the request says; takes its room.

        What waits for an approval is not planned, but held.
        """
        plan, room = request.plan, self._room.get(request.lane, 0)
        is_wanted = (
            room > 0
            and plan.state is State.PLANNED
            and plan.send_at <= now
            and not plan.withdraw_on
            and plan.visit is None
            and not plan.reaches_customer
            and plan.tells_of is None
            and request.flood is None
            and request.rule not in self._rules.with_until
        )
        if is_wanted:
            self._room[request.lane] = room - 1
        return is_wanted

    async def _passing(
        self, connection: Connection, due: Sequence[Columns], now: datetime
    ) -> list[Candidate]:
        """Those that no gate stops, and whose targets may be sent to."""
        found = await _decided(connection, due, now)
        resting = {_place(row) for row in found if row["is_resting"]}
        candidates = [claiming.candidate(row) for row in due if _place(row) not in resting]
        facts = await gate_facts.read(
            connection,
            candidates,
            self._rules,
            self._zones,
            silences.in_force(found),
            rule_overrides.in_force(found),
            now,
        )
        stopped = gates.stops(candidates, facts)
        return [one for one in candidates if one.id not in stopped]


async def _decided(
    connection: Connection, due: Sequence[Columns], now: datetime
) -> list[asyncpg.Record]:
    """What people have decided about these deliveries, and whether their targets have to rest."""
    rules, lanes, targets = zip(*{_place(row) for row in due}, strict=True)
    return await connection.fetch(
        f"""
        SELECT rule, lane, target, {silences.IN_FORCE}, {rule_overrides.OF_RULE},
               {destinations.is_resting("due.lane", "$2", "due.target")} AS is_resting
        FROM unnest($1::text[], $3::text[], $4::text[]) AS due (rule, lane, target)
        """,
        rules,
        now,
        lanes,
        targets,
    )


def _due(number: int, event: Event, row: Columns) -> Columns:
    """A new delivery as `claiming` reads one that is due, with its number among the requests."""
    fields = row["fields"]
    return {
        "muted_by": None,
        **row,
        **_LATER,
        "id": number,
        "fields": None if fields is None else orjson.dumps(fields).decode(),
        "kind": event.kind,
        "at": event.at,
        "cause": event.cause,
        "changed": event.changed,
        "alarm": event.alarm,
        "signal": event.signal,
        "before": task_json(event.before),
        "after": task_json(event.after),
        "trace": trace_of(event),
    }


def _place(row: Row) -> tuple[str, str, str]:
    return row["rule"], row["lane"], row["target"]
