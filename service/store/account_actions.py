"""What a person does with an account: pause it, resume it, have all its tasks read."""

from datetime import datetime

from service.domain.actors import Actor
from service.errors import TaskbellError
from service.store import Connection, Pool, accounts, canaries, rate_limits
from service.store.operators import changes
from service.store.operators.changes import Action


class NoSuchAccount(TaskbellError):
    """There is no account with this name."""


class AccountPaused(TaskbellError):
    """The account is paused, and its system is not called."""


async def pause(pool: Pool, account: str, now: datetime, *, by: Actor) -> None:
    """Stop reading from the account and sending through it. Raises NoSuchAccount."""
    async with pool.acquire() as connection, connection.transaction():
        await _is_paused(connection, account)
        await accounts.pause(connection, account)
        await changes.record(connection, by, Action.ACCOUNT_PAUSED, account, now)


async def resume(pool: Pool, account: str, now: datetime, *, by: Actor) -> bool:
    """Go on with an account, with a full scan; False if it was not paused. Raises NoSuchAccount."""
    async with pool.acquire() as connection, connection.transaction():
        was_paused = await _is_paused(connection, account)
        if was_paused:
            await accounts.resume(connection, account, now)
            await changes.record(connection, by, Action.ACCOUNT_RESUMED, account, now)
    return was_paused


async def sync(
    pool: Pool, account: str, now: datetime, *, by: Actor, believe: bool = False
) -> None:
    """Have all tasks of the account read now, whatever pause its system has asked for.

    With `believe` those that the system no longer shows are treated as deleted. Raises
    NoSuchAccount or AccountPaused.
    """
    detail = "missing tasks count as deleted" if believe else ""
    async with pool.acquire() as connection, connection.transaction():
        if await _is_paused(connection, account):
            raise AccountPaused(
                f"{account} is paused. `taskbell accounts resume {account}` reads all its tasks."
            )
        await rate_limits.lift(connection, account, now)
        if believe:
            await canaries.believe(connection, account)
        await accounts.poll_now(connection, account, now)
        await changes.record(connection, by, Action.ACCOUNT_SYNCED, account, now, detail)


async def _is_paused(connection: Connection, account: str) -> bool:
    paused = await connection.fetchval("SELECT paused FROM accounts WHERE name = $1", account)
    if paused is None:
        raise NoSuchAccount(f"there is no account {account}; see `taskbell accounts list`")
    return bool(paused)
