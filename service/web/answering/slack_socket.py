"""Slack's Socket Mode: pressed buttons over a connection that Taskbell opens itself.

For firms whose Taskbell has no address that Slack can reach; see
docs.slack.dev/apis/events-api/using-socket-mode. Each web process has a connection of its own, and
Slack gives a press to one of them.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import structlog

from service.channels.slack import SlackOptions
from service.config import Config
from service.web.answering.slack import SlackPresses
from service.web.problems import Problem

if TYPE_CHECKING:
    from slack_sdk.socket_mode.aiohttp import SocketModeClient
    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest

log = structlog.get_logger()

Current: TypeAlias = Callable[[], tuple[Config, SlackPresses]]
"""The configuration in force, and what is done with presses under it."""

_BETWEEN_LOOKS = 1.0  # seconds


class SlackSockets:
    """One connection for each `app_token` of the configuration in force."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._open: dict[tuple[str, str], SocketModeClient] = {}
        self._connecting = set[asyncio.Task[None]]()

    async def follow(self) -> None:
        """Keep the connections that the configuration wants; ends by being cancelled."""
        try:
            while True:
                await self._adapt(_wanted(self._current()[0]))
                await asyncio.sleep(_BETWEEN_LOOKS)
        finally:
            await self._adapt({})

    async def _adapt(self, wanted: Mapping[tuple[str, str], str]) -> None:
        for key in self._open.keys() - wanted.keys():
            await self._open.pop(key).close()  # type: ignore[no-untyped-call]
        for key in wanted.keys() - self._open.keys():
            self._open[key] = self._opened(*key, wanted[key])

    def _opened(self, token: str, api_url: str, channel: str) -> "SocketModeClient":
        """A client, which goes on trying to connect until it is closed."""
        # Few need it, and it takes a tenth of a second of the start of every web process.
        from slack_sdk.socket_mode.aiohttp import SocketModeClient  # noqa: PLC0415
        from slack_sdk.web.async_client import AsyncWebClient  # noqa: PLC0415

        client = SocketModeClient(app_token=token, web_client=AsyncWebClient(base_url=api_url))
        client.socket_mode_request_listeners.append(self._take)
        connecting = asyncio.create_task(client.connect())  # type: ignore[no-untyped-call]
        connecting.add_done_callback(partial(_note, channel))
        self._connecting.add(connecting)
        return client

    async def _take(
        self, client: "AsyncBaseSocketModeClient", request: "SocketModeRequest"
    ) -> None:
        """Do what the button says, and confirm it; else Slack tells the person that it failed."""
        if request.type == "interactive":
            try:
                await self._current()[1].give(request.payload, "Slack")
            except Problem as problem:
                log.warning("slack.press_refused", reason=problem.detail)
        await client.send_socket_mode_response({"envelope_id": request.envelope_id})


def _note(channel: str, done: asyncio.Task[None]) -> None:
    if not done.cancelled():
        log.info("slack.listening", channel=channel)


def _wanted(config: Config) -> dict[tuple[str, str], str]:
    """For each token and address of Slack's API the name of its channel."""
    found = {}
    for name, options in config.channels.items():
        if isinstance(options, SlackOptions) and options.app_token is not None:
            found[options.app_token.get_secret_value(), options.api_url] = name
    return found
