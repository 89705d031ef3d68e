"""Today: state of the accounts, problems, sent messages and pending ones."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

import asyncpg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.explain.account_advice import what_to_do
from service.outbox import destinations, holds, silences, storms
from service.outbox.destinations import LaneOutage
from service.store import dead_letters
from service.store.views import api_lists, dashboard, message_counts, messages
from service.store.views.message_search import PENDING_STATES
from service.web.presenters.customer_messages import can_be_stopped, to_customers
from service.web.presenters.message_form import STATES
from service.web.presenters.silence_form import LENGTHS
from service.web.screens import Screen

_SHOWN = 25
_MOST_COUNTED = 1_000
_FEW = 8  # of the messages that wait for one decision


class Today(Screen):
    """The first screen."""

    path, words, place = "/", "Today", 1

    def routes(self) -> list[Route]:
        return [Route(self.path, self.office.shown(self.show))]

    async def show(self, request: Request) -> Response:
        too_late = "too_late" in request.query_params
        return self.render(request, "today.html", too_late=too_late, **await self._overview())

    async def _overview(self) -> dict[str, Any]:
        office, pool, now = self.office, self.office.pool, self.office.clock.now()
        accounts = [
            {**one, "advice": what_to_do(one)}
            for one in await api_lists.read_accounts(pool, now, list(office.config.accounts))
        ]
        trouble = await dashboard.failed_deliveries(pool, _SHOWN)
        asking, waiting = (
            await dashboard.asking(pool, _SHOWN),
            await dashboard.waiting(pool, _SHOWN),
        )
        customers = await self._to_customers([*trouble, *asking, *waiting])
        return {
            "accounts": accounts,
            "paused": [one["id"] for one in accounts if one["state"] == "paused"],
            "rereading": [
                one["id"]
                for one in accounts
                if one["state"] != "failing" and one["reread_since"] is not None
            ],
            "has_inbox": office.inbox is not None,
            "most": _SHOWN,
            "has_worker": await office.doorbell.has_worker(),
            "faults": [fault.in_a_line for fault in office.faults],
            "trouble": trouble,
            "to_customers": customers,
            "leaving": [
                one for one in waiting if one["id"] in customers and can_be_stopped(one, now)
            ],
            **await self._counts(),
            "set_aside": await dead_letters.asking(pool, _SHOWN),
            "asking": asking,
            "waiting": waiting,
            "lately": await dashboard.lately(pool, _SHOWN),
            "storms": await self._storms(),
            "outages": await self._outages(),
            "holds": await holds.read(pool, now),
            "lengths": LENGTHS,
            "silences": await silences.read(pool, now),
            "events": await dashboard.last_events(pool, _SHOWN),
        }

    async def _to_customers(self, shown: Sequence[asyncpg.Record]) -> frozenset[int]:
        """The numbers of those that reach a customer."""
        tasks = await messages.tasks_of(self.office.pool, [one["id"] for one in shown])
        return to_customers(shown, tasks)

    async def _counts(self) -> dict[str, Any]:
        """How many messages wait, and how those of today have ended; each is a link."""
        today = self.office.clock.now().astimezone(self.office.config.timezone).date()
        midnight = datetime.combine(today, time(), self.office.config.timezone).astimezone(UTC)
        counts = await message_counts.counts(self.office.pool, midnight, _MOST_COUNTED)
        return {
            "counts": counts,
            "counted": STATES,
            "ended": counts.keys() - PENDING_STATES,
            "day": today.isoformat(),
            "most_counted": _MOST_COUNTED,
        }

    async def _outages(self) -> dict[str, LaneOutage]:
        """The channels of the configuration that fail as a whole, by name."""
        found = await destinations.outages(self.office.pool)
        return {name: one for name, one in found.items() if name in self.office.config.channels}

    async def _storms(self) -> list[dict[str, Any]]:
        """The storms on the page, each with the first of its messages."""
        found = await storms.read(self.office.pool)
        shown = [
            {**storm, "messages": await dashboard.held(self.office.pool, storm["id"], _FEW)}
            for storm in found[:_SHOWN]
        ]
        return [*shown, *found[_SHOWN:]]
