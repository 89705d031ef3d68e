"""The emulated systems as one application, and a server for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from functools import partial
from operator import itemgetter
from typing import TypeVar

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service import plugins
from service.clock import Clock
from service.sandbox.control import ControlApi, FaultApi
from service.sandbox.inbox import Inbox
from service.sandbox.kickserv import Kickserv
from service.sandbox.letsligo import LetsLigo
from service.sandbox.plannr import Plannr
from service.sandbox.push import Pusher, Subscription
from service.sandbox.recorder import RequestRecorder
from service.sandbox.rolodex import Rolodex
from service.sandbox.slack import Slack
from service.sandbox.system import Raw, System, TaskSystem

Emulated = TypeVar("Emulated", bound=TaskSystem)


def emulations() -> dict[str, type[TaskSystem]]:
    """The emulation of every system, from the module of its name."""
    return dict(plugins.find("service.sandbox", TaskSystem))


class Sandbox:
    """All emulations; `app` serves them."""

    def __init__(self, clock: Clock, subscriptions: Sequence[Subscription] = ()) -> None:
        self.systems = {name: system(clock) for name, system in emulations().items()}
        self.plannr, self.kickserv = self._of(Plannr), self._of(Kickserv)
        self.letsligo, self.rolodex = self._of(LetsLigo), self._of(Rolodex)
        self.slack = Slack(clock)
        self.inbox = Inbox(clock)
        self.pusher = Pusher(self.plannr, subscriptions)
        self.app = Starlette(routes=self._routes())

    def _of(self, kind: type[Emulated]) -> Emulated:
        return next(one for one in self.systems.values() if isinstance(one, kind))

    def _routes(self) -> list[Route | Mount]:
        emulated = {**self.systems, "slack": self.slack, "inbox": self.inbox}
        more = {"plannr": self.pusher.routes()}
        return [
            Route("/inbox", self._show),
            *(
                Mount(f"/{name}", _behind_door(one, more.get(name, ())))
                for name, one in emulated.items()
            ),
            *(
                Mount(f"/_sandbox/{name}", routes=_switches(one).routes())
                for name, one in emulated.items()
            ),
        ]

    async def _show(self, request: Request) -> Response:
        """All sent messages, oldest first."""
        del request
        sent = [*_mails(self.inbox), *_hooks(self.inbox), *_posts(self.slack)]
        sent += [one for name, system in self.systems.items() for one in _told(name, system)]
        sent.sort(key=itemgetter("at"))
        return Response(orjson.dumps({"messages": sent}), media_type="application/json")


@asynccontextmanager
async def running(sandbox: Sandbox, port: int = 0, smtp_port: int = 0) -> AsyncIterator[str]:
    """Serve a sandbox on 127.0.0.1, and its mail server; returns the address.

    A port of 0 lets the operating system choose: the mail port is then `sandbox.inbox.smtp_port`.
    """
    await sandbox.inbox.listen(smtp_port)
    config = uvicorn.Config(
        sandbox.app, log_config=None, access_log=False, date_header=False, server_header=False
    )
    config.load()
    state = ServerState()
    protocol = partial(HttpToolsProtocol, config, state, {})
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await _hang_up(state)
        await sandbox.pusher.close()
        await sandbox.inbox.close()


async def _hang_up(state: ServerState) -> None:
    """Close open connections at once; uvicorn's own server would wait for them."""
    for connection in list(state.connections):
        connection.shutdown()
    for answer in list(state.tasks):
        answer.cancel()
    await asyncio.gather(*state.tasks, return_exceptions=True)


def _switches(system: System) -> FaultApi:
    return ControlApi(system) if isinstance(system, TaskSystem) else FaultApi(system)


def _behind_door(system: System, more: Sequence[Route] = ()) -> RequestRecorder:
    handlers = {HTTPException: system.refuse}
    app = Starlette(routes=[*system.routes(), *more], exception_handlers=handlers)
    return RequestRecorder(app, system)


def _mails(inbox: Inbox) -> list[Raw]:
    return [
        {
            "at": mail.at,
            "by": "email",
            "from": mail.message["from"],
            "to": ", ".join(mail.recipients),
            "subject": mail.message["subject"],
            "text": _plain(mail.message),
        }
        for mail in inbox.mails
    ]


def _plain(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return "" if body is None else body.get_content()


def _hooks(inbox: Inbox) -> list[Raw]:
    return [
        {"at": hook.at, "by": "webhook", "to": hook.name, "text": hook.body.decode()}
        for hook in inbox.hooks
    ]


def _posts(slack: Slack) -> list[Raw]:
    return [
        {
            "at": post["at"],
            "by": "slack",
            "to": slack.name(post["channel"]),
            "text": post.get("text", ""),
            "edited": "edited" in post,
            "deleted": "deleted" in post,
            "answer": "thread_ts" in post,
        }
        for post in slack.posted.values()
    ]


def _told(name: str, system: TaskSystem) -> list[Raw]:
    return [
        {"at": one.at, "by": name, "to": one.notification, "text": f"task {one.task_id}"}
        for one in system.record.notifications
    ]
