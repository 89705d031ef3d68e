"""What `contacts:` says about messages that a rule would send, for a preview. Nothing is stored."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.contacts import Choices, ContactKey, Receivers, SentCounts
from service.domain.model import Event
from service.domain.system_actions import WRITES
from service.outbox import contacted
from service.rules.contacts.policy import ContactsPolicy
from service.rules.contacts.receivers import receivers
from service.rules.verdict import Plan
from service.store import Connection
from service.store.operators import contact_choices


async def held_back(
    connection: Connection,
    policy: ContactsPolicy,
    event: Event,
    plans: Sequence[Plan],
    zone: ZoneInfo,
    now: datetime,
) -> list[str | None]:
    """For each plan about this event, why it would be skipped or would wait; None: it would not.

    The messages are counted that customers got up to `now` (UTC); `zone` is the account's.
    """
    reached = [_receivers(plan, event) for plan in plans]
    keys = frozenset[ContactKey]().union(*(one.keys for one in reached))
    choices = Choices(await contact_choices.about(connection, keys, now))
    sent = await contacted.lately(connection, now) if policy.per_day else SentCounts()
    found: list[str | None] = []
    for plan, one in zip(plans, reached, strict=True):
        said = policy.refusal(one, choices, now)
        if said is None and plan.reaches_customer:
            said = _postponed(policy, plan, policy.counted(one, event.account), sent, zone)
        found.append(said)
    return found


def _receivers(plan: Plan, event: Event) -> Receivers:
    if plan.channel in WRITES:
        return Receivers()
    tasks = [event.task] if plan.tells_of is None else plan.tells_of.tasks
    return receivers(plan.channel, plan.target, tasks)


def _postponed(
    policy: ContactsPolicy,
    plan: Plan,
    customers: Sequence[frozenset[ContactKey]],
    sent: SentCounts,
    zone: ZoneInfo,
) -> str | None:
    closed = policy.off_hours(plan.send_at, plan.expires_at, zone)
    if closed is not None:
        return closed.reason
    since = policy.sent_since(plan.send_at, zone)
    most = max((len(sent.messages(one, since)) for one in customers), default=0)
    if policy.per_day is None or most < policy.per_day:
        return None
    return policy.too_many(plan.send_at, plan.expires_at, zone).reason
