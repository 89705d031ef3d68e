"""How long an account is left alone between two polls."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from service.sources.account import SHORTEST_POLL, Account, HookOptions
from workers.poll_pace import SHORTENED, TRUST_PERIOD, pause

NOW = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
SIGNED = HookOptions(verify="token", secret=SecretStr("s3cret-of-the-door"))
MINUTE = timedelta(minutes=1)
known = st.timedeltas(-MINUTE, 3 * TRUST_PERIOD)
ages = st.none() | known
lengths = st.timedeltas(SHORTEST_POLL, timedelta(minutes=30))
factors = st.floats(1, 100)


def account(**options: Any) -> Account:
    given = {"webhook": SIGNED, "full_scan": timedelta(days=1), **options}
    fixed = {"name": "field", "system": "kickserv", "base_url": "https://k.test", "token": "abcd"}
    return Account.model_validate({**fixed, **given})


def wait(
    one: Account,
    webhook: timedelta | None = None,
    missed: timedelta | None = None,
    scan: timedelta | None = timedelta(0),
) -> timedelta:
    """The pause when these things are so long ago."""
    return pause(
        one,
        NOW,
        webhook_at=None if webhook is None else NOW - webhook,
        missed_at=None if missed is None else NOW - missed,
        scanned_at=None if scan is None else NOW - scan,
    )


@pytest.mark.parametrize(
    ("webhook", "missed", "minutes"),
    [
        (None, None, 1),  # there has never been a webhook
        (timedelta(0), None, 5),  # one has just come, and none was ever missed
        (TRUST_PERIOD / 2, None, 3),  # the last one is a while ago
        (TRUST_PERIOD, None, 1),
        (timedelta(0), TRUST_PERIOD / 4, 2),  # they came back a quarter of an hour ago
        (timedelta(0), TRUST_PERIOD, 5),
        (2 * MINUTE, MINUTE, SHORTENED),  # the last change was found by a poll
        (None, MINUTE, SHORTENED),
        (2 * TRUST_PERIOD, TRUST_PERIOD, 1),  # that was long ago, and nothing has changed since
    ],
)
def test_the_pause_follows_what_webhooks_have_earned(
    webhook: timedelta | None, missed: timedelta | None, minutes: float
) -> None:
    """Up to five times the interval while they come alone, half of it while they fail."""
    assert wait(account(poll=MINUTE), webhook, missed) == minutes * MINUTE


def test_the_stretch_is_an_option() -> None:
    """With `stretch: 1` polls never get rarer, however many webhooks come."""
    assert wait(account(poll=MINUTE, stretch=2), timedelta(0)) == 2 * MINUTE
    assert wait(account(poll=MINUTE, stretch=1), timedelta(0)) == MINUTE


@pytest.mark.parametrize("webhook", [None, HookOptions(verify="none")])
def test_webhooks_that_anybody_can_send_change_nothing(webhook: HookOptions | None) -> None:
    """Else a stranger could make Taskbell slow by posting to it."""
    for missed in (None, timedelta(0)):
        assert wait(account(poll=MINUTE, webhook=webhook), timedelta(0), missed) == MINUTE


def test_a_full_scan_is_not_put_off() -> None:
    """It has a pace of its own: the last poll before it is followed by it in time."""
    one = account(poll=MINUTE, full_scan=10 * MINUTE)
    assert wait(one, timedelta(0), scan=7 * MINUTE) == 3 * MINUTE
    assert wait(one, timedelta(0), scan=30 * MINUTE) == MINUTE


@given(lengths, factors, ages, ages, ages)
def test_the_pause_has_bounds(
    poll: timedelta,
    stretch: float,
    webhook: timedelta | None,
    missed: timedelta | None,
    scan: timedelta | None,
) -> None:
    """Whatever happened: never a storm of polls, and never less often than is documented."""
    waits = wait(account(poll=poll, stretch=stretch), webhook, missed, scan)
    assert max(poll * SHORTENED, SHORTEST_POLL) <= waits <= poll * stretch + MINUTE / 60000


@given(lengths, known, ages, st.timedeltas(timedelta(0), TRUST_PERIOD))
def test_a_later_webhook_never_shortens_the_pause(
    poll: timedelta, webhook: timedelta, missed: timedelta | None, later: timedelta
) -> None:
    """A later webhook may lengthen the pause, a later miss may shorten it; never the reverse."""
    one = account(poll=poll)
    assert wait(one, webhook - later, missed) >= wait(one, webhook, missed)
    if missed is not None and missed - later >= timedelta(0):
        assert wait(one, webhook, missed - later) <= wait(one, webhook, missed)
