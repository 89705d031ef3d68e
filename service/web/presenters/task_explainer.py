"""Explains why each rule acted on a task or did not, for the page and for the API."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from service.clock import Clock
from service.config import Config
from service.explain import Explanation, account_status
from service.explain.explainer import explain
from service.store import Pool
from service.store.tasks import Key
from service.store.views import api_lists, task_history
from service.store.views.task_history import TaskHistory
from service.web import labels
from service.web.presenters.explanations import PastRules


class TaskExplainer:
    """Explains tasks by the rules in force and those of earlier versions, one task at a time.

    `keep_events` is for how long events are kept.
    """

    def __init__(self, pool: Pool, clock: Clock, config: Config, keep_events: timedelta) -> None:
        self._pool = pool
        self._clock = clock
        self._config = config
        self._keep_events = keep_events
        self._past = PastRules(config)
        self._one_at_a_time = asyncio.Lock()  # explanations are bound by the processor

    async def explained(self, key: Key) -> tuple[TaskHistory, list[Explanation]]:
        """The history of a task that is known, and the result of each rule."""
        async with self._pool.acquire() as connection:
            rules = self._config.rules
            papers = await task_history.read(connection, key, rules.crons, leads=rules.leads)
        papers = replace(papers, account_waits=await self._account_waits(key))
        return papers, await self._results(papers)

    async def _account_waits(self, key: Key) -> str | None:
        """Why the account's due messages are not sent yet."""
        rows = await api_lists.read_accounts(self._pool, self._clock.now(), [key[0]])
        tell = labels.teller(self._zone(key), self._config.timezone)
        return account_status.what_waits(rows[0], tell) if rows else None

    async def _results(self, papers: TaskHistory) -> list[Explanation]:
        """The result of each rule, computed outside the event loop."""
        now = self._clock.now()
        since = max(papers.added_at, now - self._keep_events)

        def work_out() -> list[Explanation]:
            versions = self._past.versions(papers.texts)
            return explain(versions, papers, self._zone(papers.key), now, since, self._config.zones)

        async with self._one_at_a_time:
            return await asyncio.to_thread(work_out)

    def _zone(self, key: Key) -> ZoneInfo:
        return self._config.zones.get(key[0], self._config.timezone)
