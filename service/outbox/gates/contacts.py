"""The gates of `contacts:`: who wants no messages, at which hours, and how many a day."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from service.domain.contacts import Keys, Receivers, SentCounts
from service.domain.model import State, Task
from service.outbox.gates.candidate import Candidate, GateFacts, Stop, Stops
from service.rules.contacts.receivers import receivers
from service.store.tasks import Key

_UNTIL_SENT = timedelta(seconds=5)


def reached(one: Candidate, present: Callable[[Key], Task | None]) -> Receivers:
    """Whom it reaches, by its tasks as they were and as they are: addresses may have changed."""
    if not one.receivers.keys:
        return one.receivers
    tasks = [task for key in one.told_of or [one.key] if (task := present(key)) is not None]
    return one.receivers + receivers(one.channel, one.target, tasks)


def is_unwanted(one: Candidate, facts: GateFacts) -> Stop | None:
    """Whether a recipient wants no messages. This applies to every rule, and to sending by hand."""
    if not one.receivers.keys:
        return None
    found = reached(one, facts.present)
    refusal = facts.rules.contacts.refusal(found, facts.choices, facts.now)
    return None if refusal is None else Stop(State.SKIPPED, refusal)


def is_off_hours(one: Candidate, facts: GateFacts) -> Stop | None:
    """Whether customers get no messages now; what a person wants sent at once is sent."""
    zone = facts.zones.get(one.key[0])
    if zone is None or one.at_once or not one.reaches_customer:
        return None
    return Stop.by(facts.rules.contacts.off_hours(facts.now, one.expires_at, zone))


def are_too_many(candidates: Sequence[Candidate], facts: GateFacts) -> Stops:
    """Which of these would be more than a customer gets on a day; the first ones are sent."""
    policy, passed = facts.rules.contacts, SentCounts()
    found: Stops = {}
    if policy.per_day is None:
        return found
    for one in candidates:
        stop = _is_one_too_many(one, facts, policy.per_day, passed)
        if stop is not None:
            found[one.id] = stop
        elif one.reaches_customer:
            for customer in policy.counted(one.receivers, one.key[0]):
                passed.add(one.id, customer, facts.now)
    return found


def _is_one_too_many(
    one: Candidate, facts: GateFacts, most: int, passed: SentCounts
) -> Stop | None:
    """While others are being sent, it waits for their result: they may not be sent after all."""
    zone, policy = facts.zones.get(one.key[0]), facts.rules.contacts
    if zone is None or not one.reaches_customer or one.is_exempt or one.at_once:
        return None
    since, customers = policy.sent_since(facts.now, zone), policy.counted(one.receivers, one.key[0])
    if any(_number(each, since, facts.sent) >= most for each in customers):
        return Stop.by(policy.too_many(facts.now, one.expires_at, zone))
    counts = (facts.sent, facts.under_way, passed)
    if any(_number(each, since, *counts) >= most for each in customers):
        return Stop(State.PLANNED, None, facts.now + _UNTIL_SENT)
    return None


def _number(customer: Keys, since: datetime, *counts: SentCounts) -> int:
    """How many messages this customer got since then."""
    return len(frozenset[int]().union(*(one.messages(customer, since) for one in counts)))
