"""ntfy: push notifications to phones, by ntfy.sh or a server of one's own.

Sources: ntfy's documentation, "Publishing" (publish as JSON, priorities, access tokens) and its
"Limitations" (4,096 bytes, beyond which a message becomes an attachment; 60 requests at once, then
one in five seconds), and the list of errors in its source (`server/errors.go`), which also limits
the JSON of a message to twice that. Nothing there lets a receiver recognise a repeated message, or
changes one.
"""

import re
from datetime import timedelta
from typing import Any, ClassVar, Literal, TypeAlias

import httpx
import orjson
from pydantic import SecretStr, field_validator

from service.channels import ApiAddress, ChannelOptions, Message, SentRef
from service.channels.http_api import ApiAnswer, ApiChannel, ApiRefusal, demand_text
from service.channels.pace import Rate
from service.channels.text_fitting import fitted, one_line, utf8_bytes
from service.clock import Clock
from service.diagnostics import refused
from service.http.connection_check import ConnectionCheck

Json: TypeAlias = dict[str, Any]

LONGEST, LONGEST_TITLE = 4096, 200
DAILY = frozenset({"42908"})
A_DAYS_LIMIT = timedelta(hours=1)
PRIORITIES = {"min": 1, "low": 2, "default": 3, "high": 4, "urgent": 5}
TOPIC = "the target must be a topic: up to 64 letters, digits, dashes and underscores"
EXPLANATIONS = {
    "40009": TOPIC,
    "40010": "the server does not allow this name for a topic",
    "40101": "the token is not valid; make a new one in the account's settings",
    "40301": "the topic is protected, and the token may not publish there",
    "41303": "the message is too large",
}
BY_STATUS = {
    401: EXPLANATIONS["40101"],
    403: EXPLANATIONS["40301"],
    404: "there is no ntfy server at this address",
}

_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")


class NtfyOptions(ChannelOptions):
    """`url` is the address of the server; not given, it is ntfy.sh.

    `token` is an access token, for a topic that is protected. `priority` is how loud a notification
    is: min, low, default, high or urgent.
    """

    url: ApiAddress = "https://ntfy.sh"
    token: SecretStr | None = None
    priority: Literal["min", "low", "default", "high", "urgent"] = "default"
    rate: Rate | None = timedelta(seconds=1)

    @field_validator("url")
    @classmethod
    def _is_server(cls, url: str) -> str:
        if httpx.URL(url).path not in {"", "/"} and url.startswith("https://ntfy.sh"):
            raise refused(
                "url must be the address of the server, without a topic",
                "write the topic in rules: ntfy:TOPIC",
            )
        return url

    @field_validator("token")
    @classmethod
    def _is_sendable(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token else "x"
        if not (text.isascii() and text.isprintable() and " " not in text):
            raise ValueError("must be printable ASCII, or it cannot be sent; copy it again")
        return token


class NtfyChannel(ApiChannel):
    """Publishes to a topic, with the subject as its title. The text is shown as it is."""

    options: ClassVar[type[ChannelOptions]] = NtfyOptions
    service = "ntfy"
    explanations = EXPLANATIONS
    by_status = BY_STATUS
    longest: ClassVar[int | None] = LONGEST

    def __init__(self, options: NtfyOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(options, client, clock)
        self._url = httpx.URL(options.url.rstrip("/") + "/")
        self._priority = PRIORITIES[options.priority]
        self._headers: dict[str, str] = {}
        if options.token is not None:
            self._headers = {"authorization": f"Bearer {options.token.get_secret_value()}"}

    @classmethod
    def target_problem(cls, target: str) -> str | None:
        return None if _TOPIC.fullmatch(target) else TOPIC

    @property
    def address(self) -> httpx.URL:
        return self._url

    async def send(self, message: Message) -> SentRef:
        answer = await self.call(
            "POST", self._url, message, self._headers, json=self._content(message)
        )
        return {"id": str(answer.at("id"))}

    async def probe(self, check: ConnectionCheck) -> None:
        """Ask whether the server is well, and whether it knows the token."""
        del check
        await self.call("GET", self._url.join("v1/health"))
        if not self._headers:
            return
        try:
            await self.call("GET", self._url.join("v1/account"), headers=self._headers)
        except ApiRefusal as error:
            if error.status != httpx.codes.NOT_FOUND:  # a server without accounts
                raise

    def _content(self, message: Message) -> Json:
        demand_text(message.text)
        self.demand_target(message.target)
        content: Json = {"topic": message.target, "message": "", "priority": self._priority}
        if message.subject:
            content["title"] = one_line(message.subject, LONGEST_TITLE)
        overhead = len(orjson.dumps(content))
        shown = fitted(message.text, LONGEST, lambda text: _size(text, overhead))
        return {**content, "message": shown}

    def accepts(self, answer: ApiAnswer) -> bool:
        return answer.is_success and isinstance(answer.content, dict)

    def error_name(self, answer: ApiAnswer) -> str:
        code = answer.at("code")
        return str(code) if isinstance(code, int) and not answer.is_success else ""

    def pause(self, answer: ApiAnswer) -> timedelta | None:
        """A day's messages are used up: then a minute later there are no more of them."""
        asked = super().pause(answer)
        return asked or (A_DAYS_LIMIT if self.error_name(answer) in DAILY else None)


def _size(text: str, overhead: int) -> int:
    """The bytes of a text, or half of those that its message has in JSON, with all else in it."""
    return max(utf8_bytes(text), (len(orjson.dumps(text)) + overhead) // 2)
