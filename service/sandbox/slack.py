"""An emulated Slack: one workspace in which every channel exists."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.clock import Clock
from service.sandbox.system import TOKEN, Raw, System

_Method: TypeAlias = Callable[[Request], Awaitable[Response]]

NAMES = ("office", "dispatch", "general")


class Slack(System):
    """The posts, by channel id and `ts`, in their present state."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.channels = {name: f"C{number:09}" for number, name in enumerate(NAMES, 1)}
        self.posted: dict[tuple[str, str], Raw] = {}
        self._numbers = count(1)

    def routes(self) -> list[Route]:
        methods = {
            "auth.test": self._test,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "conversations.list": self._list,
            "conversations.open": self._open,
            "users.lookupByEmail": self._look_up,
        }
        return [
            Route(f"/api/{name}", _for_members(method), methods=["GET", "POST"])
            for name, method in methods.items()
        ]

    def name(self, channel: str) -> str:
        """The displayed name of a channel, or of the direct messages with a user."""
        names = {number: f"#{name}" for name, number in self.channels.items()}
        return names.get(channel) or channel.replace("DU", "@", 1)

    async def _test(self, request: Request) -> Response:
        del request
        return _answer(user="taskbell", team="Sandbox", bot_id="B000000001")

    async def _post(self, request: Request) -> Response:
        content = await self._content(request)
        channel = self._id(str(content.get("channel", "")))
        ts = f"{int(self.clock.now().timestamp())}.{next(self._numbers):06}"
        kept: Raw = {
            name: content[name]
            for name in ("text", "blocks", "metadata", "thread_ts")
            if name in content
        }
        at = self.clock.now()
        self.posted[channel, ts] = {**kept, "channel": channel, "ts": ts, "at": at}
        return _answer(channel=channel, ts=ts)

    async def _update(self, request: Request) -> Response:
        content = await self._content(request)
        message = self._find(content)
        if message is None:
            return _answer(error="message_not_found")
        message |= {name: content[name] for name in ("text", "blocks") if name in content}
        message["edited"] = {"ts": f"{self.clock.now().timestamp():.6f}"}
        return _answer(channel=message["channel"], ts=message["ts"])

    async def _delete(self, request: Request) -> Response:
        message = self._find(await self._content(request))
        if message is None:
            return _answer(error="message_not_found")
        message["deleted"] = True
        return _answer(channel=message["channel"], ts=message["ts"])

    async def _replies(self, request: Request) -> Response:
        content = await self._content(request)
        channel, ts = content.get("channel"), content.get("ts")
        found = [one for one in self._standing(channel) if ts in {one["ts"], one.get("thread_ts")}]
        return _answer(messages=[_shown(one) for one in found])

    async def _history(self, request: Request) -> Response:
        content = await self._content(request)
        channel, oldest = content.get("channel"), float(content.get("oldest") or 0)
        found = [one for one in self._standing(channel) if float(one["ts"]) >= oldest]
        shown = [_shown(one) for one in found if "thread_ts" not in one]
        return _answer(messages=shown[::-1])

    async def _list(self, request: Request) -> Response:
        del request
        named = [{"id": number, "name": name} for name, number in self.channels.items()]
        return _answer(channels=named)

    async def _open(self, request: Request) -> Response:
        content = await self._content(request)
        return _answer(channel={"id": f"D{content.get('users')}"})

    async def _look_up(self, request: Request) -> Response:
        content = await self._content(request)
        return _answer(user={"id": f"U{content.get('email')}"})

    def _find(self, content: dict[str, Any]) -> Raw | None:
        found = self.posted.get((content.get("channel", ""), content.get("ts", "")))
        return None if found is None or "deleted" in found else found

    def _standing(self, channel: str | None) -> list[Raw]:
        """The present posts in a channel."""
        inside = [one for one in self.posted.values() if one["channel"] == channel]
        return [one for one in inside if "deleted" not in one]

    async def _content(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type", "").startswith("application/json"):
            content: dict[str, Any] = await request.json()
            return content
        form = parse_qsl((await request.body()).decode())
        return {**request.query_params, **dict(form)}

    def _id(self, target: str) -> str:
        """The id of a channel by its name or id, or of the direct messages with a user."""
        if target.startswith("U"):
            return f"D{target}"
        name = target.removeprefix("#")
        known = name in self.channels.values() or name.startswith("D")
        return name if known else self.channels.setdefault(name, f"C{len(self.channels) + 1:09}")


def _for_members(method: _Method) -> _Method:
    """A method that requires the token."""

    async def guarded(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _answer(error="invalid_auth")
        return await method(request)

    return guarded


def _answer(*, error: str | None = None, **content: Any) -> Response:
    if error is not None:
        return JSONResponse({"ok": False, "error": error})
    return JSONResponse({"ok": True, **content})


def _shown(post: Raw) -> Raw:
    return {name: post[name] for name in post if name != "at"}
