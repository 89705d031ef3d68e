"""Checks with known tasks (canaries) whether a system's answers can be trusted."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from service.errors import SourceBroken, SourceError
from service.sources import Source
from service.store import Pool, canaries
from service.store.canaries import ALL_MISSING
from service.store.tasks import PostgresTasks

# A list that lost more than a handful has to show one of the tasks that it had.
HANDFUL = 5
ENOUGH = HANDFUL + 1
# More than a handful, and more than this share of the tasks, are many at once.
_SHARE = 0.1


class Canaries:
    """The canaries of one account, by which its polls and lookups judge the system's answers."""

    def __init__(self, pool: Pool, source: Source) -> None:
        self._pool = pool
        self._source = source
        self._account = source.account.name

    async def known_among(self, ids: Collection[str], before: datetime) -> list[str]:
        """A few of these tasks that were known before that time."""
        async with self._pool.acquire() as connection:
            return await canaries.known_among(connection, self._account, list(ids), before, ENOUGH)

    async def taken_in(self, listed: Collection[str], now: datetime) -> list[str]:
        """A few of the tasks that the first scan imported; raises SourceBroken if it has none."""
        shown = await self.known_among(listed, now + timedelta.resolution)
        if listed and not shown:
            raise SourceBroken(
                f"{self._account}: the list has {len(listed)} tasks, but none can be read one by"
                " one. Check the token's permissions and the account's options."
            )
        return shown

    async def shown_by_id(self, before: datetime) -> list[str]:
        """If the list has none of the known tasks: a few that exist when they are read by id."""
        async with self._pool.acquire() as connection:
            known = await canaries.known(connection, self._account, before, ENOUGH)
        if len(known) <= HANDFUL:
            return []
        return [one for one in known if await self._source.fetch(one) is not None]

    async def demand_readable(self, failure: SourceError) -> None:
        """Raise the error unless it concerns one task only, so that another task can be read."""
        async with self._pool.acquire() as connection:
            others = await canaries.others(connection, self._account, [])
        for task_id in others:
            with suppress(SourceError):
                if await self._source.fetch(task_id) is not None:
                    return
        raise failure

    async def doubt(self, gone: Sequence[str]) -> SourceError | None:
        """Why the system's answer that tasks do not exist is not accepted; None if it is.

        It is accepted while the system shows another task that it has listed before. If it does
        not, the list has to show what the problem is.
        """
        others = await self._others(gone)
        try:
            for task_id in others:
                if await self._source.fetch(task_id) is not None:
                    return None
        except SourceError as error:
            return error
        if not others:
            return None
        await canaries.renew(self._pool, self._account, self._source.upstream.clock.now())
        return SourceBroken(
            f"{self._account}: the system says that this task does not exist, and it no longer"
            " shows the tasks it listed before. Check whether the token has lost permissions."
        )

    async def _others(self, gone: Sequence[str]) -> list[str]:
        """Tasks that should exist, if any of the missing ones was known."""
        async with self._pool.acquire() as connection:
            if not await PostgresTasks(connection).present((self._account, one) for one in gone):
                return []
            return await canaries.others(connection, self._account, gone)


def are_many(count: int, tasks: int) -> bool:
    """Whether this is more of an account's tasks than usually disappear or appear at once."""
    return count > max(HANDFUL, _SHARE * tasks)


def doubt(account: str, missing: int) -> SourceBroken:
    """Why a list is not trusted in which all known tasks are missing."""
    return SourceBroken(
        f"{account}: all {missing} {ALL_MISSING}, and the system does"
        f" not show the {ENOUGH} that Taskbell asked for by id. Check whether the token has lost"
        " permissions. Taskbell has deleted nothing. If the tasks really are gone, confirm that on"
        f" Connections (developers: taskbell accounts sync {account} --believe)"
    )
