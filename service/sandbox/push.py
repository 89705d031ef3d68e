"""Plannr's webhooks: the subscriptions, and the deliveries to them."""

import asyncio
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_network
from uuid import uuid4

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.http.client import open_client
from service.sandbox.plannr import Plannr
from service.sandbox.system import Raw

EVENTS = ("task.created", "task.updated", "task.deleted", "task.completed")
PAUSES = (0.2, 1.0, 3.0, 10.0)  # seconds before each further attempt; then it is given up
PARTIAL = ("uuid", "name", "updated_at")

# Webhooks go to this very machine, where calls are refused unless they are allowed.
_ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class Subscription:
    """The address for which events, and the secret that signs them."""

    url: str
    secret: str
    events: tuple[str, ...] = EVENTS


class Pusher:
    """Sends every event of a Plannr to its subscriptions, in the background, a few times."""

    def __init__(self, plannr: Plannr, subscriptions: Sequence[Subscription] = ()) -> None:
        self.subscriptions = {str(uuid4()): one for one in subscriptions}
        self._plannr = plannr
        self._client: httpx.AsyncClient | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        plannr.listeners.append(self._hear)

    def routes(self) -> list[Route]:
        path = "/api/v2/webhook-subscriptions"
        return [
            Route(path, self._list),
            Route(path, self._subscribe, methods=["POST"]),
            Route(f"{path}/{{uuid}}", self._resubscribe, methods=["PUT"]),
        ]

    async def settled(self) -> None:
        """Wait until every webhook so far was accepted or given up."""
        await asyncio.gather(*self._under_way)

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _hear(self, event: str, task: Raw) -> None:
        body = orjson.dumps({"event": event, "data": self._shown(task)})
        for subscription in self.subscriptions.values():
            if event in subscription.events:
                delivery = asyncio.ensure_future(self._deliver(subscription, body))
                self._under_way.add(delivery)
                delivery.add_done_callback(self._under_way.discard)

    def _shown(self, task: Raw) -> Raw:
        names = {"whole": task, "partial": PARTIAL, "hint": ("uuid",)}[self._plannr.quirks.push]
        return {name: task[name] for name in names}

    async def _deliver(self, subscription: Subscription, body: bytes) -> None:
        signature = hmac.new(subscription.secret.encode(), body, sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Signature": signature}
        for pause in (*PAUSES, None):
            if await self._arrives(subscription.url, body, headers):
                return
            if pause is not None:
                await asyncio.sleep(pause)

    async def _arrives(self, url: str, body: bytes, headers: dict[str, str]) -> bool:
        self._client = self._client or open_client(_ANYWHERE)
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except httpx.RequestError:
            return False
        return answer.is_success

    async def _list(self, request: Request) -> Response:
        self._plannr.check(request)
        return JSONResponse({"data": [_view(uuid, s) for uuid, s in self.subscriptions.items()]})

    async def _subscribe(self, request: Request) -> Response:
        self._plannr.check(request)
        body, uuid = await self._plannr.note_write(request), str(uuid4())
        secret = secrets.token_urlsafe(45)
        self.subscriptions[uuid] = Subscription(body["url"], secret, tuple(body["events"]))
        return JSONResponse(_view(uuid, self.subscriptions[uuid]), 201)

    async def _resubscribe(self, request: Request) -> Response:
        self._plannr.check(request)
        body, uuid = await self._plannr.note_write(request), request.path_params["uuid"]
        old = self.subscriptions[uuid]
        url, events = body.get("url", old.url), tuple(body["events"])
        self.subscriptions[uuid] = Subscription(url, old.secret, events)
        return JSONResponse(_view(uuid, self.subscriptions[uuid]))


def _view(uuid: str, subscription: Subscription) -> Raw:
    return {
        "uuid": uuid,
        "url": subscription.url,
        "events": list(subscription.events),
        "signing_secret": subscription.secret,
    }
