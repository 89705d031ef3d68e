"""Loads the data that the gates need about deliveries that are due.

It queries only what can stop these deliveries: most need no query at all.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.contacts import Choices, ContactKey
from service.domain.model import Task
from service.domain.operators.overrides import Override
from service.domain.operators.silences import Silence
from service.outbox import contacted, holds, mutes, storms, visits
from service.outbox.gates import Candidate, GateFacts
from service.outbox.gates.contacts import reached
from service.rules import recipients
from service.rules.ruleset import Ruleset
from service.store import Connection
from service.store.operators import contact_choices
from service.store.tasks import Key, PostgresTasks


async def read(
    connection: Connection,
    candidates: Sequence[Candidate],
    rules: Ruleset,
    zones: Mapping[str, ZoneInfo],
    silences: Sequence[Silence],
    overrides: Mapping[str, Override],
    now: datetime,
) -> GateFacts:
    """The facts about these candidates; they stay true until the transaction ends."""
    present = await _present(connection, candidates, rules)
    muting = await mutes.muting(connection, [one.muted_by for one in candidates if one.muted_by])
    floods = await storms.counted(connection, candidates, rules.storm, now)
    is_for_customers = any(one.reaches_customer for one in candidates)
    on_hold = await holds.still_on(connection, now) if is_for_customers else []
    announcements = await visits.announcements(connection, candidates)
    told = await contacted.counted(connection, candidates, rules.contacts, zones, now)
    return GateFacts(
        now=now,
        rules=rules,
        zones=zones,
        silences=silences,
        present=present.get,
        muting=muting.get,
        announcement=announcements.last.get,
        floods=floods,
        being_announced=announcements.under_way,
        holds=on_hold,
        overrides=overrides,
        choices=await _choices(connection, candidates, present, now),
        sent=told.sent,
        under_way=told.under_way,
    )


async def _choices(
    connection: Connection,
    candidates: Sequence[Candidate],
    present: Mapping[Key, Task],
    now: datetime,
) -> Choices:
    """What the receivers chose, by the tasks as they were and as they are."""
    everyone = (reached(one, present.get).keys for one in candidates)
    keys = frozenset[ContactKey]().union(*everyone)
    return Choices(await contact_choices.about(connection, keys, now) if keys else ())


async def _present(
    connection: Connection, candidates: Sequence[Candidate], rules: Ruleset
) -> Mapping[Key, Task]:
    wanted = {
        key
        for one in candidates
        for key in one.told_of or [one.key]
        if one.receivers.keys or (_looks_at_task(one, rules) and not one.is_exempt)
    }
    return await PostgresTasks(connection).present(sorted(wanted)) if wanted else {}


def _looks_at_task(one: Candidate, rules: Ruleset) -> bool:
    return one.rule in rules.with_until or one.channel == recipients.EMPLOYEE
