"""Poll interval, adapted to how reliable the account's webhooks are.

Pure functions. A recent webhook lengthens the interval, a change that a poll found first shortens
it.
"""

from datetime import datetime, timedelta

from service.sources.account import SHORTEST_POLL, Account

# For how long webhooks must report all changes before they are trusted in full; how long after the
# last webhook this trust is gone; and for how long a missed change shortens the interval.
TRUST_PERIOD = timedelta(hours=1)
SHORTENED = 0.5


def pause(
    account: Account,
    now: datetime,
    *,
    webhook_at: datetime | None,
    missed_at: datetime | None,
    scanned_at: datetime | None,
) -> timedelta:
    """How long to wait for the next poll, before jitter.

    `webhook_at` is when the last webhook about a task came, `missed_at` when a poll last found a
    change that no webhook had reported, `scanned_at` when the last full scan began. If webhooks
    cannot be trusted, because there are none or they are not signed, it is `poll`.
    """
    if not account.has_signed_webhooks:
        return account.poll
    if _have_stopped(now, webhook_at, missed_at):
        return max(account.poll * SHORTENED, SHORTEST_POLL)
    stretched = account.poll * (1 + (account.stretch - 1) * _trust(now, webhook_at, missed_at))
    until_scan = account.full_scan - (now - scanned_at) if scanned_at else account.poll
    return max(account.poll, min(stretched, until_scan))


def _have_stopped(now: datetime, webhook_at: datetime | None, missed_at: datetime | None) -> bool:
    if missed_at is None or now - missed_at >= TRUST_PERIOD:
        return False
    return webhook_at is None or webhook_at < missed_at


def _trust(now: datetime, webhook_at: datetime | None, missed_at: datetime | None) -> float:
    """From 0 to 1: lower if the last webhook is older, and if a change was missed later."""
    if webhook_at is None:
        return 0.0
    fresh = 1 - (now - webhook_at) / TRUST_PERIOD
    proven = 1.0 if missed_at is None else (webhook_at - missed_at) / TRUST_PERIOD
    return max(0.0, min(1.0, fresh, proven))
