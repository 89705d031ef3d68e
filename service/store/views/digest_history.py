"""Recorded history of digests and of schedules that have fired."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from service.domain.model import Event
from service.store import Connection, decisions, deliveries
from service.store.decisions import RecordedDecision
from service.store.deliveries import RecordedDelivery
from service.store.events import event_from
from service.store.tasks import Key, read_task


@dataclass(frozen=True, slots=True)
class Named:
    """A task's id and title."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class PastDigest:
    """A digest, and the decision by which it was `opened`.

    If it was sent, it has the decision by which it was `told`, and its `deliveries`. If it is still
    open, it has `closes_at` (UTC) and the `tasks` that it contains so far.
    """

    opened: RecordedDecision
    told: RecordedDecision | None = None
    deliveries: tuple[RecordedDelivery, ...] = ()
    closes_at: datetime | None = None
    tasks: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class PastSlot:
    """A slot of a rule's schedule: its `event`, decided on at `at` (UTC) by these rules.

    `chosen` has an event for each task that the rule was evaluated for. `decisions` are its
    decisions on the slot and on each of those tasks.
    """

    event: Event
    at: datetime
    rules_version: str
    chosen: tuple[Event, ...]
    decisions: tuple[RecordedDecision, ...]
    deliveries: tuple[RecordedDelivery, ...]


@dataclass(frozen=True, slots=True)
class DigestHistory:
    """The digests that a task has joined or may have joined, and the last slot of each rule."""

    gatherings: tuple[PastDigest, ...] = ()
    slots: Mapping[str, PastSlot] = field(default_factory=dict)

    @property
    def versions(self) -> set[str]:
        """The versions of the rules that made these decisions."""
        told = {one.told.rules_version for one in self.gatherings if one.told is not None}
        return told | {slot.rules_version for slot in self.slots.values()}


async def read(
    connection: Connection,
    key: Key,
    rules: Collection[str],
    crons: Mapping[str, str],
    leads: Mapping[str, str],
    until: datetime | None,
) -> DigestHistory:
    """The digests of these rules that concern one task, and the last slot of each schedule.

    `crons` are the schedules of rules; of each the last slot up to `until` is read. `leads` has
    the account in which a rule with `together` acts for its others.
    """
    slots = {
        rule: slot
        for rule, cron in crons.items()
        if (slot := await _last_slot(connection, rule, leads.get(rule, key[0]), cron, until))
        is not None
    }
    if not rules:
        return DigestHistory((), slots)
    told = await _told(connection, key, list(rules), list(leads))
    return DigestHistory((*told, *await _open(connection, key)), slots)


async def _told(
    connection: Connection, key: Key, rules: list[str], together: list[str]
) -> list[PastDigest]:
    """The sent digests of these rules that were open when this task joined one of the same rule.

    That of a rule in `together` may have been opened in another account.
    """
    rows = await connection.fetch(
        """
        SELECT opened.at, opened.event, opened.rule, opened.rules_version, opened.outcome,
               opened.reason, opened.group_key,
               told.at AS told_at, told.event AS told_event, told.rule AS told_rule,
               told.rules_version AS told_version, told.outcome AS told_outcome,
               told.reason AS told_reason, told.group_key AS told_group
        FROM decisions AS opened
        JOIN decisions AS told ON told.event = opened.event AND told.rule = opened.rule
             AND told.id > opened.id AND told.outcome <> 'gathered'
        JOIN events ON events.id = opened.event
        WHERE opened.outcome = 'gathered' AND opened.rule = ANY ($3)
          AND (events.account = $1 OR opened.rule = ANY ($4))
          AND EXISTS (
            SELECT FROM decisions AS joined JOIN events AS own ON own.id = joined.event
            WHERE own.account = $1 AND own.task = $2 AND joined.outcome = 'gathered'
              AND joined.rule = opened.rule AND joined.at BETWEEN opened.at AND told.at)
        ORDER BY opened.id
        """,
        *key,
        rules,
        together,
    )
    sent = await deliveries.because_of(connection, [row["event"] for row in rows])
    return [
        PastDigest(
            opened=RecordedDecision(*tuple(row)[:7]),
            told=RecordedDecision(*tuple(row)[7:]),
            deliveries=tuple(one for one in sent[row["event"]] if one.rule == row["rule"]),
        )
        for row in rows
    ]


async def _open(connection: Connection, key: Key) -> list[PastDigest]:
    """The open digests that this task is in."""
    rows = await connection.fetch(
        """
        SELECT opened.at, opened.event, opened.rule, opened.rules_version, opened.outcome,
               opened.reason, opened.group_key, closes_at,
               array_agg(others.task ORDER BY others.event) AS ids,
               array_agg(coalesce(tasks.snapshot ->> 'title', '') ORDER BY others.event) AS titles
        FROM digests
        JOIN digest_tasks AS own ON own.digest = digests.id
             AND own.account = $1 AND own.task = $2
        JOIN digest_tasks AS others ON others.digest = digests.id
        JOIN decisions AS opened ON opened.event = digests.event AND opened.rule = digests.rule
             AND opened.outcome = 'gathered'
        LEFT JOIN tasks ON tasks.account = others.account AND tasks.id = others.task
        GROUP BY digests.id, opened.id ORDER BY digests.id
        """,
        *key,
    )
    return [
        PastDigest(
            opened=RecordedDecision(*tuple(row)[:7]),
            closes_at=row["closes_at"],
            tasks=tuple(Named(*pair) for pair in zip(row["ids"], row["titles"], strict=True)),
        )
        for row in rows
    ]


async def _last_slot(
    connection: Connection, rule: str, account: str, cron: str, until: datetime | None
) -> PastSlot | None:
    """The last slot of a rule's schedule in an account; None if there was none.

    Rules with the same schedule have separate slots, distinguished by their decisions. A rule
    without `for_each` that does not match has no decision: so a slot without any decision counts,
    too.
    """
    row = await connection.fetchrow(
        """
        SELECT *, id AS event FROM events AS moment
        WHERE account = $2 AND task = '' AND kind = 'scheduled' AND alarm = $3
          AND ($4::timestamptz IS NULL OR at <= $4)
          AND (EXISTS (SELECT FROM decisions WHERE event = moment.id AND rule = $1)
               OR NOT EXISTS (SELECT FROM decisions WHERE event = moment.id))
        ORDER BY id DESC LIMIT 1
        """,
        rule,
        account,
        cron,
        until,
    )
    if row is None:
        return None
    chosen = await _chosen(connection, row)
    numbers = [row["id"], *(one.id for one in chosen)]
    sent = await deliveries.because_of(connection, numbers)
    return PastSlot(
        event=event_from(row, None, None),
        at=row["decided_at"],
        rules_version=row["rules_version"],
        chosen=tuple(chosen),
        decisions=tuple(
            one for one in await decisions.about(connection, numbers) if one.rule == rule
        ),
        deliveries=tuple(one for number in numbers for one in sent[number] if one.rule == rule),
    )


async def _chosen(connection: Connection, moment: asyncpg.Record) -> list[Event]:
    """The events of tasks selected for a slot: they follow it, up to the slot of another rule."""
    rows = await connection.fetch(
        """
        SELECT *, id AS event FROM events
        WHERE decided_at = $1 AND id > $2 AND account = $3 AND kind = 'scheduled'
        ORDER BY id
        """,
        moment["decided_at"],
        moment["id"],
        moment["account"],
    )
    found: list[Event] = []
    for row in rows:
        if not row["task"]:
            break
        found.append(event_from(row, None, read_task(row["after"])))
    return found
