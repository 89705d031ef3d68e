"""Connections: every account and every channel, how it is, and what to do about it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.channels import kinds
from service.explain import account_advice
from service.outbox import account_lane, destinations, writes_lane
from service.store.rate_limits import BURST, calls_left
from service.store.views import api_lists, connections
from service.web.screens import Screen


class Connections(Screen):
    """The screen with all accounts and channels."""

    path, words, place = "/connections", "Connections", 7

    def routes(self) -> list[Route]:
        return [Route(self.path, self.office.shown(self.show))]

    async def show(self, request: Request) -> Response:
        now = self.office.clock.now()
        trouble = await self._trouble(now)
        return self.render(
            request,
            "connections.html",
            too_late="too_late" in request.query_params,
            accounts=await self._accounts(now, trouble),
            channels=await self._channels(trouble),
            most=connections.MOST,
        )

    async def _accounts(
        self, now: datetime, trouble: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """The accounts of the configuration; those that fail come first."""
        config, pool = self.office.config, self.office.pool
        names = list(config.accounts)
        limits = await connections.rate_limits(pool)
        unread = await connections.unread_webhooks(pool, names)
        found = [
            {
                **one,
                "unread_webhooks": unread[one["id"]],
                "takes_webhooks": config.accounts[one["id"]].webhook is not None,
                "advice": account_advice.what_to_do(one),
                "calls": self._calls(one["id"], limits.get(one["id"]), now),
                "trouble": [
                    trouble[lane]
                    for lane in (account_lane(one["id"]), writes_lane(one["id"]))
                    if lane in trouble
                ],
            }
            for one in await api_lists.read_accounts(pool, now, names)
        ]
        return sorted(found, key=lambda one: one["state"] != "failing")

    def _calls(
        self, account: str, limit: Mapping[str, Any] | None, now: datetime
    ) -> dict[str, Any] | None:
        """What is left of the calls that an account may make; None if it was never called."""
        if limit is None:
            return None
        per_minute, until = self.office.config.accounts[account].per_minute, limit["refused_until"]
        return {
            "refused_until": until if until is not None and until > now else None,
            "left": calls_left(per_minute, limit["next_call_at"], now),
            "most": BURST,
            "per_minute": per_minute,
        }

    async def _channels(self, trouble: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        outages = await destinations.outages(self.office.pool)
        return [
            {
                "name": name,
                "kind": options.kind,
                "needs_target": kinds()[options.kind].needs_target,
                "trouble": trouble.get(name),
                "outage": outages.get(name),
            }
            for name, options in self.office.config.channels.items()
        ]

    async def _trouble(self, now: datetime) -> dict[str, dict[str, Any]]:
        """By lane what has failed lately, and what is tried again; only lanes with either."""
        config, pool = self.office.config, self.office.pool
        by_account = (account_lane(one) for one in config.accounts)
        writes = (writes_lane(one) for one in config.accounts)
        lanes = [*config.channels, *by_account, *writes]
        failed = await connections.failed(pool, now - connections.LATELY)
        again = await connections.tried_again(pool, lanes)
        return {
            lane: {"failed": failed.get(lane), "again": again.get(lane)}
            for lane in lanes
            if lane in failed or lane in again
        }
