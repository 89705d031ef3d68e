"""What an account's canaries tell: whether its system can be believed, and its tasks be read."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from service.errors import SourceBroken, SourceError
from service.sources import Source
from service.store import Pool, canaries
from service.store.tasks import PostgresTasks

# A list that lost more than a handful has to show one of the tasks that it had.
HANDFUL = 5
ENOUGH = HANDFUL + 1
# More than a handful, and more than this share of the tasks, are many at once.
_SHARE = 0.1


class Canaries:
    """The tasks of one account by which its polls judge what its system says and does not say."""

    def __init__(self, pool: Pool, source: Source) -> None:
        self._pool = pool
        self._source = source
        self._account = source.account.name

    async def known_among(self, ids: Collection[str], before: datetime) -> list[str]:
        """A few of these tasks that were known before that moment."""
        async with self._pool.acquire() as connection:
            return await canaries.known_among(connection, self._account, list(ids), before, ENOUGH)

    async def taken_in(self, listed: Collection[str], now: datetime) -> list[str]:
        """A few of the tasks that the first scan took in; raises SourceBroken if it could none."""
        shown = await self.known_among(listed, now + timedelta.resolution)
        if listed and not shown:
            raise SourceBroken(
                f"{self._account}: the list has {len(listed)} tasks, but none can be read one by"
                " one. Check the token's permissions and the account's options."
            )
        return shown

    async def shown_by_id(self, before: datetime) -> list[str]:
        """Where the list has none of the tasks that were known: a few that are there by id."""
        async with self._pool.acquire() as connection:
            known = await canaries.known(connection, self._account, before, ENOUGH)
        if len(known) <= HANDFUL:
            return []
        return [one for one in known if await self._source.fetch(one) is not None]

    async def demand_readable(self, failure: SourceError) -> None:
        """Raise why a task could not be read, unless that is its own fault: another one can be."""
        async with self._pool.acquire() as connection:
            others = await canaries.others(connection, self._account, [])
        for task_id in others:
            with suppress(SourceError):
                if await self._source.fetch(task_id) is not None:
                    return
        raise failure

    async def doubt(self, gone: Sequence[str]) -> SourceError | None:
        """Why the system's word that there are no such tasks does not count; None if it does.

        It counts while the system shows another task that it has listed before. Where it does
        not, the list has to say what is the matter.
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
        """Tasks that should be there, if any of those that are not was known."""
        async with self._pool.acquire() as connection:
            if not await PostgresTasks(connection).present((self._account, one) for one in gone):
                return []
            return await canaries.others(connection, self._account, gone)


def are_many(count: int, tasks: int) -> bool:
    """Whether so many of an account's tasks are more than come or go by themselves."""
    return count > max(HANDFUL, _SHARE * tasks)


def doubt(account: str, missing: int) -> SourceBroken:
    """Why a list is not believed that has lost all that it should have."""
    return SourceBroken(
        f"{account}: all {missing} expected tasks are missing from the list, and the system does"
        f" not show the {ENOUGH} that Taskbell asked for by id. Check whether the token has lost"
        " permissions. Taskbell has deleted nothing. If the tasks really are gone, run:"
        f" taskbell accounts sync {account} --believe"
    )
