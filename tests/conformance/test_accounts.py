"""Accounts: how far each has been read."""

from tests.conformance.storages import LONDON, PARIS, Storage
from tests.harness.tasks import START


async def test_accounts_tell_since_when_they_are_known(storage: Storage) -> None:
    """The first, silent scan of these is complete."""
    found = await storage.tx.accounts.read([LONDON, PARIS])
    assert {name: one.baseline_at for name, one in found.items()} == {LONDON: START, PARIS: START}
    assert [(one.failures, one.awaits) for one in found.values()] == [(0, False)] * 2


async def test_an_account_that_is_not_known_is_left_out(storage: Storage) -> None:
    """It was taken out of the configuration before its row was made, or after."""
    assert (await storage.tx.accounts.read([LONDON, "rome"])).keys() == {LONDON}


async def test_the_clock_speaks_of_accounts_that_are_looked_after(storage: Storage) -> None:
    """Nothing of them is outdated."""
    assert await storage.tx.accounts.stale([LONDON, PARIS], START) == frozenset()
