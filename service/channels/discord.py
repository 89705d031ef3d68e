"""Discord, by the address of a webhook of one channel.

Sources: Discord's developer documentation, "Webhook" (2,000 characters, `wait`, `thread_id`,
`allowed_mentions`, editing and deleting), "Rate limits" (`retry_after`) and "Opcodes and status
codes". Nothing there lets a receiver recognise a repeated message.
"""

import re
from datetime import timedelta
from typing import Any, ClassVar, TypeAlias

import httpx
from pydantic import SecretStr, field_validator

from service.channels import ChannelOptions, HttpAddress, Message, SentRef
from service.channels.http_api import (
    ApiAnswer,
    ApiChannel,
    ApiRefusal,
    demand_text,
    seconds,
)
from service.channels.markup import escaped
from service.channels.pace import Rate
from service.channels.text_fitting import fitted, utf16_units
from service.clock import Clock
from service.diagnostics import refused
from service.http.connection_check import ConnectionCheck

Json: TypeAlias = dict[str, Any]

LONGEST = 2000
SUPPRESS_EMBEDS = 1 << 2
UNKNOWN_MESSAGE = "10008"
EXPLANATIONS = {
    "10003": "there is no such thread; check the number behind the colon",
    UNKNOWN_MESSAGE: "the message to change was deleted",
    "10015": "the webhook was deleted; make a new one in the channel's settings",
    "20028": "the channel gets too many messages",
    "30046": "the message is older than an hour and was changed too often",
    "50006": "the text is empty",
    "50027": "the address is not complete; copy it again from the channel's settings",
    "50035": "Discord does not accept this message",
    "50083": "the thread is archived",
    "160005": "the thread is locked",
    "220001": "in a forum it needs a thread; write its number behind the colon",
    "220003": "only a forum has threads of this kind",
}
BY_STATUS = {401: EXPLANATIONS["50027"], 404: EXPLANATIONS["10015"]}

_PATH = re.compile(r"/webhooks/\d+/[\w-]+/?")
_MARKUP = re.compile(r"[\\*_~`|<>\[\]#]")
# At the beginning of a line: lists, and small print.
_LINE = re.compile(r"^(\s*)([-+]|\d+(?=[.)]))", re.MULTILINE)
_EVERYONE = re.compile(r"@(?=everyone|here)")


class DiscordOptions(ChannelOptions):
    """`url` is the address of the webhook; anyone who knows it can post."""

    url: HttpAddress
    # 30 messages a minute are known to pass.
    rate: Rate | None = timedelta(seconds=2)

    @field_validator("url")
    @classmethod
    def _is_webhook(cls, url: SecretStr) -> SecretStr:
        if not _PATH.search(httpx.URL(url.get_secret_value()).path):
            message = "url is not the address of a Discord webhook"
            raise refused(message, "copy it in Discord: Edit Channel, Integrations, Webhooks")
        return url


class DiscordChannel(ApiChannel):
    """Posts to the channel that the webhook was made for, or to a thread in it: `discord:ID`.

    The text is shown as it is: nothing in it is markup, and nobody is mentioned by it.
    """

    options: ClassVar[type[ChannelOptions]] = DiscordOptions
    service = "Discord"
    explanations = EXPLANATIONS
    by_status = BY_STATUS
    needs_target: ClassVar[bool] = False
    undoes: ClassVar[frozenset[str]] = frozenset({"update", "retract"})
    longest: ClassVar[int | None] = LONGEST

    def __init__(self, options: DiscordOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(options, client, clock)
        url = httpx.URL(options.url.get_secret_value())
        match = _PATH.search(url.path)
        path = url.path[: match.end()] if match else url.path
        self._url = url.copy_with(path=path.rstrip("/"), query=None)

    @classmethod
    def target_problem(cls, target: str) -> str | None:
        is_number = target.isascii() and target.isdigit()
        said = "the target must be the number of a thread, as Discord's Copy Thread ID gives it"
        return None if is_number or not target else said

    @property
    def address(self) -> httpx.URL:
        return self._url

    async def send(self, message: Message) -> SentRef:
        self.demand_target(message.target)
        thread = {"thread_id": message.target} if message.target else {}
        url = self._url.copy_merge_params({"wait": "true", **thread})
        answer = await self.call("POST", url, message, json=_content(message.text))
        return {"id": str(answer.at("id")), **thread}

    async def take_back(self, message: Message) -> SentRef:
        posted = message.receipt or {}
        thread = {name: posted[name] for name in ("thread_id",) if name in posted}
        url = self._url.copy_with(path=f"{self._url.path}/messages/{posted.get('id')}")
        url = url.copy_merge_params(thread) if thread else url
        if message.undo == "retract":
            await self._delete(url, message)
        else:
            await self.call("PATCH", url, message, json=_content(message.text))
        return posted

    async def probe(self, check: ConnectionCheck) -> None:
        """Read the webhook, which needs no more than its address."""
        del check
        await self.call("GET", self._url)

    async def _delete(self, url: httpx.URL, message: Message) -> None:
        """Remove a message; one that is not there any more counts as removed."""
        try:
            await self.call("DELETE", url, message)
        except ApiRefusal as error:
            if error.name != UNKNOWN_MESSAGE:
                raise

    def accepts(self, answer: ApiAnswer) -> bool:
        is_done = answer.status == httpx.codes.NO_CONTENT
        return answer.is_success and (is_done or answer.at("id") is not None)

    def error_name(self, answer: ApiAnswer) -> str:
        code = answer.at("code")
        return str(code) if isinstance(code, int) and code > 0 else ""

    def pause(self, answer: ApiAnswer) -> timedelta | None:
        return seconds(answer.at("retry_after")) or super().pause(answer)


def _content(text: str) -> Json:
    demand_text(text)
    shown = fitted(text, LONGEST, lambda part: utf16_units(_plain(part)))
    return {
        "content": _plain(shown),
        "allowed_mentions": {"parse": []},
        # No preview of what stands behind a link, which anyone may have put into a task.
        "flags": SUPPRESS_EMBEDS,
    }


def _plain(text: str) -> str:
    """The text so that Discord shows it letter by letter."""
    return escaped(text, _escape)


def _escape(text: str) -> str:
    shown = _MARKUP.sub(r"\\\g<0>", text)
    shown = _LINE.sub(_escape_list, shown)
    return _EVERYONE.sub("@\u200b", shown)


def _escape_list(found: re.Match[str]) -> str:
    space, sign = found[1], found[2]
    return f"{space}{sign}\\" if sign.isdigit() else f"{space}\\{sign}"
