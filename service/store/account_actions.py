"""What a person does with an account: pause it, resume it, have all its tasks read."""

from datetime import datetime

from service.errors import TaskbellError
from service.store import Pool, accounts, canaries, rate_limits


class NoSuchAccount(TaskbellError):
    """There is no account with this name."""


class AccountPaused(TaskbellError):
    """The account is paused, and its system is not called."""


async def pause(pool: Pool, account: str) -> None:
    """Stop reading from the account and sending through it. Raises NoSuchAccount."""
    await _is_paused(pool, account)
    await accounts.pause(pool, account)


async def resume(pool: Pool, account: str, now: datetime) -> bool:
    """Go on with an account, with a full scan; False if it was not paused. Raises NoSuchAccount."""
    was_paused = await _is_paused(pool, account)
    await accounts.resume(pool, account, now)
    return was_paused


async def sync(pool: Pool, account: str, now: datetime, *, believe: bool = False) -> None:
    """Have all tasks of the account read now, whatever pause its system has asked for.

    With `believe` those that the system no longer shows are treated as deleted. Raises
    NoSuchAccount or AccountPaused.
    """
    if await _is_paused(pool, account):
        raise AccountPaused(
            f"{account} is paused. `taskbell accounts resume {account}` reads all its tasks."
        )
    if believe:
        await canaries.believe(pool, account)
    await rate_limits.lift(pool, account, now)
    await accounts.poll_now(pool, account, now)


async def _is_paused(pool: Pool, account: str) -> bool:
    paused = await pool.fetchval("SELECT paused FROM accounts WHERE name = $1", account)
    if paused is None:
        raise NoSuchAccount(f"there is no account {account}; see `taskbell accounts list`")
    return bool(paused)
