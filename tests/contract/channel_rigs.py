"""For each channel a receiver and a way to make it fail: what the contract suite needs to know.

A new kind of channel adds its rig here; the suite says so if it is missing.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
from pydantic import SecretStr

from service.channels import Channel, ConfiguredChannel, Message, SystemChannel, kinds
from service.channels.system_notify import CustomerChannel
from service.channels.task_writes import WritesChannel
from service.clock import Clock
from service.domain.model import Task
from service.http.client import open_client
from service.http.throttle import Unthrottled
from service.sources import Page, Source
from service.sources.account import Account
from service.sources.reader import Raw
from tests.harness.receivers import LOOPBACK, Answer, Fault, HttpReceiver, Receiver, Request
from tests.harness.slack_receiver import SlackReceiver
from tests.harness.smtp_receiver import SmtpReceiver

TIMEOUT = timedelta(seconds=2)
TOO_LONG = 30.0

MESSAGE = Message(
    key="0190f3c4-5a8e-7d2b-9c31-000000000001",
    channel="team",
    target="",
    text="✅ Smith <gutters> & more is finished",
    account="field",
    task_id="T1",
    rule="job-done",
    type="task.completed",
    at=datetime(2026, 3, 6, 11, 59, 30, tzinfo=UTC),
    event={"id": 7, "kind": "completed"},
    task={"id": "T1", "title": "Smith gutters", "done": True},
    before={"id": "T1", "title": "Smith gutters", "done": False},
)


RIGS: dict[str, type["Rig"]] = {}
"""By the kind of channel its rig, which says so itself: `class TeamsRig(HttpRig, kind="teams")`."""


class Rig(ABC):
    """One channel with the receiver at its other end.

    `secrets` must not show anywhere; `message` is one that the channel can send. `carries_key`:
    messages do; `is_told_why`: the channel is told why one failed.
    """

    carries_key: ClassVar[bool] = True
    is_told_why: ClassVar[bool] = True

    secrets: ClassVar[tuple[str, ...]] = ()
    message: ClassVar[Message] = MESSAGE
    receiver: Receiver

    def __init_subclass__(cls, *, kind: str | None = None) -> None:
        super().__init_subclass__()
        if kind is not None:
            RIGS[kind] = cls

    @abstractmethod
    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        """The channel, configured for the receiver, with TIMEOUT."""

    @abstractmethod
    def arrived(self) -> list[str]:
        """The keys of the messages that arrived; where none are carried, a text for each."""

    @abstractmethod
    def hang(self) -> None:
        """Take the next message and do not answer."""

    @abstractmethod
    def cut(self) -> None:
        """Take the next message and drop the connection without an answer."""

    @abstractmethod
    def fail(self) -> None:
        """Say of the next message that it cannot be taken just now."""

    def recover(self) -> None:  # noqa: B027 (over HTTP a fault is for one message anyway)
        """Take messages again."""


class HttpRig(Rig):
    receiver: HttpReceiver

    def __init__(self) -> None:
        self.receiver = HttpReceiver()

    def hang(self) -> None:
        self.receiver.reply(Answer(delay=TOO_LONG))

    def cut(self) -> None:
        self.receiver.reply(Answer(fault=Fault.RESET_AFTER))

    def fail(self) -> None:
        self.receiver.reply(Answer(429, headers={"retry-after": "7"}))


class WebhookRig(HttpRig, kind="webhook"):
    secrets = (
        "whsec_c2VjcmV0LW9mLXRoZS1ob29r",
        "c2VjcmV0LW9mLXRoZS1ob29r",
        "key-in-the-path",
        "p@ss-of-the-api",
        "YmVsbDpwQHNzLW9mLXRoZS1hcGk=",
        "key-in-a-header",
        "key-in-the-body",
    )

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        url = f"{self.receiver.url}/key-in-the-path?token=key-in-the-path"
        given = {
            "secret": self.secrets[0],
            "user": "bell",
            "password": self.secrets[3],
            "headers": {"X-Key": self.secrets[5]},
            "body": f'{{"key": "{self.secrets[6]}", "text": {{{{ text }}}}}}',
            "success": "status == 200",
        }
        return configured("webhook", client, clock, url=url, **given)

    def arrived(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.receiver.requests]


class SlackRig(HttpRig, kind="slack"):
    secrets = ("xoxb-secret-of-the-bot",)
    message = replace(MESSAGE, target="#office")
    receiver: SlackReceiver

    def __init__(self) -> None:
        self.receiver = SlackReceiver("general", "random", "office")

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        url = f"{self.receiver.url}/api"
        return configured("slack", client, clock, token=self.secrets[0], api_url=url)

    def arrived(self) -> list[str]:
        return [
            request.json["metadata"]["event_payload"]["key"]
            for request in self.receiver.requests
            if request.path == "/api/chat.postMessage"
        ]


class TeamsRig(HttpRig, kind="teams"):
    secrets = ("c2lnbmF0dXJl-of_the-workflow",)

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        path = f"/workflows/0a1b/triggers/manual/paths/invoke?sig={self.secrets[0]}"
        return configured("teams", client, clock, url=f"{self.receiver.url}{path}")

    def arrived(self) -> list[str]:
        return [request.headers["x-ms-client-tracking-id"] for request in self.receiver.requests]


class ApiReceiver(HttpReceiver):
    """Answers each request as a service does: `says` has the JSON by the end of the path.

    Or a function that makes it of the number of requests so far.
    """

    def __init__(self, **says: Any) -> None:
        super().__init__()
        self.says = says

    def answer(self, request: Request) -> Answer:
        name = request.path.rstrip("/").rpartition("/")[2].removesuffix(".json")
        said = self.says.get(name, self.says["otherwise"])
        return Answer(200, said(len(self.requests)) if callable(said) else said)


class ApiRig(HttpRig):
    """A channel of one service; its messages are requests by this method and to this path."""

    receiver: ApiReceiver
    path: ClassVar[str]
    says: ClassVar[Mapping[str, Any]]

    def __init__(self) -> None:
        self.receiver = ApiReceiver(**self.says)

    @property
    def posted(self) -> list[Request]:
        return [
            one
            for one in self.receiver.requests
            if one.method == "POST" and one.path.endswith(self.path)
        ]

    def arrived(self) -> list[str]:
        return [request.headers["idempotency-key"] for request in self.posted]


class DiscordRig(ApiRig, kind="discord"):
    secrets = ("t0ken-of_the-webhook",)
    path = f"/api/webhooks/123/{secrets[0]}"
    says: ClassVar[Mapping[str, Any]] = {"otherwise": {"id": "99"}}

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        return configured("discord", client, clock, url=f"{self.receiver.url}{self.path}")


class TelegramRig(ApiRig, kind="telegram"):
    secrets = ("123:AAH-t0ken_of-the-bot",)
    message = replace(MESSAGE, target="-1001234567890")
    path = "/sendMessage"
    says: ClassVar[Mapping[str, Any]] = {
        "sendMessage": lambda number: {
            "ok": True,
            "result": {"message_id": 4 + number, "chat": {"id": -1001234567890}},
        },
        "otherwise": {"ok": True, "result": True},
    }

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        given = {"token": self.secrets[0], "api_url": self.receiver.url}
        return configured("telegram", client, clock, **given)


class NtfyRig(ApiRig, kind="ntfy"):
    secrets = ("tk_t0ken-of-the-account",)
    message = replace(MESSAGE, target="acme-office")
    path = "/"
    says: ClassVar[Mapping[str, Any]] = {"otherwise": {"id": "xE73Iyuabi", "event": "message"}}

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        given = {"token": self.secrets[0], "url": self.receiver.url}
        return configured("ntfy", client, clock, **given)


class PagerDutyRig(ApiRig, kind="pagerduty"):
    secrets = ("0123456789abcdef0123456789abcdef",)
    path = "/v2/enqueue"
    says: ClassVar[Mapping[str, Any]] = {
        "otherwise": {"status": "success", "message": "Event processed", "dedup_key": "x"}
    }

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        given = {"routing_key": self.secrets[0], "api_url": self.receiver.url}
        return configured("pagerduty", client, clock, **given)

    def arrived(self) -> list[str]:
        triggers = [one for one in self.posted if one.json["event_action"] == "trigger"]
        return [request.headers["idempotency-key"] for request in triggers]


class GoogleChatRig(ApiRig, kind="googlechat"):
    secrets = ("AIzaSy-key-of-the-space", "t0ken_of-the-webhook")
    path = "/v1/spaces/AAA/messages"
    says: ClassVar[Mapping[str, Any]] = {
        "otherwise": lambda number: {
            "name": f"spaces/AAA/messages/{number}",
            "thread": {"name": "spaces/AAA/threads/7"},
        }
    }

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        query = f"key={self.secrets[0]}&token={self.secrets[1]}%3D"
        return configured(
            "googlechat", client, clock, url=f"{self.receiver.url}{self.path}?{query}"
        )


class TwilioRig(ApiRig, kind="twilio"):
    secrets = ("auth-t0ken-of-the-account", "QUMxOmF1dGgtdDBrZW4tb2YtdGhlLWFjY291bnQ=")
    message = replace(MESSAGE, target="+4915112345678")
    path = ".json"
    says: ClassVar[Mapping[str, Any]] = {"otherwise": {"sid": "SM1", "status": "queued"}}

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        given = {"account_sid": "AC1", "token": self.secrets[0], "api_url": self.receiver.url}
        return configured("twilio", client, clock, **given, **{"from": "+14155550100"})


class VonageRig(ApiRig, kind="vonage"):
    secrets = ("s3cret-of-the-account", "YWJjZDEyMzQ6czNjcmV0LW9mLXRoZS1hY2NvdW50")
    message = replace(MESSAGE, target="+4915112345678")
    path = "/sms/json"
    says: ClassVar[Mapping[str, Any]] = {
        "get-balance": {"value": 10.28, "autoReload": False},
        "otherwise": {"messages": [{"status": "0", "message-id": "0C01"}]},
    }

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        given = {"api_key": "abcd1234", "secret": self.secrets[0], "api_url": self.receiver.url}
        return configured("vonage", client, clock, **given, **{"from": "ACME"})


class AppriseRig(HttpRig, kind="apprise"):
    secrets = (
        "p@ssword-of-the-service",
        "p%40ssword-of-the-service",
        "key-in-the-path",
        "key-in-a-header",
    )
    carries_key = False
    is_told_why = False

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        place = f"bell:{self.secrets[1]}@127.0.0.1:{self.receiver.port}"
        url = f"json://{place}/{self.secrets[2]}?+X-Key={self.secrets[3]}"
        return configured("apprise", client, clock, url=url, unguarded=True)

    def arrived(self) -> list[str]:
        return [request.json["message"] for request in self.receiver.requests]


class EmailRig(Rig, kind="email"):
    secrets = ("p@ss/of#smtp", "cEBzcy9vZiNzbXRw")
    message = replace(MESSAGE, target="bo@x.test", subject="Smith gutters")
    receiver: SmtpReceiver

    def __init__(self) -> None:
        self.receiver = SmtpReceiver(password=self.secrets[0])

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        url = f"smtp://bell:{self.secrets[0]}@127.0.0.1:{self.receiver.port}"
        return configured("email", client, clock, url=url, **{"from": "Tasks <tasks@example.com>"})

    def arrived(self) -> list[str]:
        return [
            mail.message["Message-ID"].strip("<>").partition("@")[0] for mail in self.receiver.mails
        ]

    def hang(self) -> None:
        self.receiver.hangs.add("DATA")

    def cut(self) -> None:
        self.receiver.cuts.add("DATA")

    def fail(self) -> None:
        self.receiver.replies["RCPT"] = "450 greylisted"

    def recover(self) -> None:
        for fault in (self.receiver.hangs, self.receiver.cuts, self.receiver.replies):
            fault.clear()


class SourceRig(HttpRig):
    """A built-in channel over an account's source."""

    secrets = ("token-of-the-account",)
    made_of: ClassVar[type[SystemChannel]]

    def channel(self, client: httpx.AsyncClient, clock: Clock) -> Channel:
        account = Account(
            name="field",
            system="sandglass",
            base_url=self.receiver.url,
            token=SecretStr(self.secrets[0]),
            timeout=TIMEOUT,
        )
        return self.made_of(SandglassSource.connect(account, client, clock, Unthrottled()))

    def arrived(self) -> list[str]:
        return [request.path for request in self.receiver.requests]


class CustomerRig(SourceRig, kind="customer"):
    made_of = CustomerChannel
    message = replace(MESSAGE, channel="customer", target="on_the_way")


class EmployeeRig(SourceRig, kind="employee"):
    made_of = CustomerChannel
    message = replace(MESSAGE, channel="employee")


class CreateRig(SourceRig, kind="create_task"):
    made_of = WritesChannel
    message = replace(MESSAGE, channel="create_task", fields={"title": "Send invoice"})


class SandglassSource(Source):
    """A system that exists only here, with one call for everything it can be asked to do."""

    notifications = frozenset({"on_the_way", "employee"})
    writes = frozenset({"create_task", "update_task"})

    @classmethod
    def headers(cls, account: Account) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {account.token.get_secret_value()}"}

    def items(self, payload: Any) -> list[Raw] | None:
        return payload if isinstance(payload, list) else None

    def identify(self, raw: Raw) -> str | None:
        return raw.get("id")

    def is_whole(self, raw: Raw) -> bool:
        return "title" in raw

    def parse(self, raw: Raw) -> Task:
        return Task(raw["id"], self.account.name, self.account.system, raw["title"])

    async def scan(self) -> AsyncIterator[Page]:
        yield Page(await self.upstream.request("GET", "/tasks"), self.upstream.clock.now())

    async def fetch(self, task_id: str) -> Raw | None:
        raw: Raw | None = await self._call("GET", task_id)
        return raw

    async def notify(self, task_id: str, notification: str) -> None:
        await self._call("POST", f"{task_id}/{notification}")

    async def create_task(self, fields: Mapping[str, Any]) -> Raw:
        del fields
        await self._call("POST", "new")
        return {"id": "T2"}

    async def update_task(self, task_id: str, fields: Mapping[str, Any]) -> Raw:
        del fields
        await self._call("PUT", task_id)
        return {"id": task_id}

    async def _call(self, method: str, path: str) -> Any:
        return await self.upstream.request(method, f"/tasks/{path}", effect=method != "GET")


def configured(kind: str, client: httpx.AsyncClient, clock: Clock, **given: Any) -> Channel:
    """A channel of this kind, made as the configuration makes it."""
    made: type[ConfiguredChannel] = kinds()[kind]
    options = made.options.model_validate(
        {"name": "team", "kind": kind, "timeout": TIMEOUT, **given}
    )
    return made(options, client, clock)


@asynccontextmanager
async def opened(rig: Rig, clock: Clock) -> AsyncIterator[Channel]:
    """The rig's channel, with its receiver listening."""
    async with rig.receiver, open_client(LOOPBACK) as client:
        channel = rig.channel(client, clock)
        yield channel
        await channel.close()
