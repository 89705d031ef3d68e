"""Webhooks on their way to Taskbell: some come twice, some late, some thin, some never."""

import asyncio
from random import Random

import httpx
import orjson

from service.clock import SystemClock
from service.sandbox.system import Raw
from tests.harness.senders import signed

SECRET = "signs-the-sandbox"
TRIES, PAUSE = 5, 0.5  # how often a sender tries, and seconds in between
LONG_DELAY = 3.0  # seconds


class Post:
    """Brings webhooks to the door; `acknowledged` are the numbers of those that got a 202."""

    def __init__(self, url: str, rng: Random) -> None:
        self.acknowledged: set[int] = set()
        self._client = httpx.AsyncClient(base_url=url, timeout=5)
        self._rng = rng
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self, account: str, event: str, task: Raw) -> None:
        """Somebody pushes what became of a task; whatever happens to it on the way."""
        body = orjson.dumps({"event": event, "data": task})
        fate = self._rng.choice(("once", "once", "twice", "late", "lost"))
        if fate != "lost":
            self._send(account, body, delay=self._rng.uniform(0, LONG_DELAY) * (fate == "late"))
        if fate == "twice":
            self._send(account, body, delay=self._rng.uniform(0, LONG_DELAY))

    def hint(self, account: str, task_id: str) -> None:
        """Somebody pushes no more than an id."""
        self._send(account, orjson.dumps({"id": task_id, "number": self._rng.random()}))

    def babble(self, account: str) -> None:
        """Somebody pushes what is no task."""
        self._send(account, orjson.dumps({"weather": self._rng.random()}))

    async def delivered(self) -> None:
        """Come back when every webhook has been taken or given up."""
        await asyncio.gather(*self._under_way)
        await self._client.aclose()

    def _send(self, account: str, body: bytes, delay: float = 0.0) -> None:
        sending = asyncio.create_task(self._bring(account, body, delay))
        self._under_way.add(sending)
        sending.add_done_callback(self._under_way.discard)

    async def _bring(self, account: str, body: bytes, delay: float) -> None:
        await asyncio.sleep(delay)
        for _ in range(TRIES):
            if await self._is_taken(account, body):
                return
            await asyncio.sleep(PAUSE)

    async def _is_taken(self, account: str, body: bytes) -> bool:
        [(name, signature)] = signed("plannr", SECRET, body, SystemClock().now()).items()
        headers = {b"content-type": b"application/json", name: signature}
        try:
            answer = await self._client.post(f"/hooks/{account}", content=body, headers=headers)
        except httpx.TransportError:
            return False
        assert answer.status_code in {202, 429, 503}, answer.text
        if answer.status_code == httpx.codes.ACCEPTED:
            self.acknowledged.add(answer.json()["receipt"])
        return answer.is_success
