"""Telegram, by the token of a bot.

Sources: Telegram's "Bot API" (sendMessage: 4,096 characters; editMessageText; deleteMessage, up to
48 hours later; ResponseParameters: `retry_after`, `migrate_to_chat_id`) and "Bots FAQ" (one message
a second to a chat, 20 a minute to a group). Nothing there lets a receiver recognise a repeated
message, and a bot cannot read what it sent.
"""

import re
from datetime import timedelta
from typing import Any, ClassVar, TypeAlias

import httpx
from pydantic import SecretStr, field_validator

from service.channels import ApiAddress, ChannelOptions, Message, SentRef
from service.channels.http_api import ApiAnswer, ApiChannel, ApiRefusal, demand_text, seconds
from service.channels.markup import escaped
from service.channels.pace import Rate
from service.channels.text_fitting import fitted, utf16_units
from service.clock import Clock
from service.errors import SendError
from service.http.connection_check import ConnectionCheck

Json: TypeAlias = dict[str, Any]

LONGEST = 4096
BLOCKED, NOT_FOUND, NOT_MODIFIED = "blocked", "chat not found", "message is not modified"
UPGRADED = "group upgraded"
GONE = frozenset({"message to delete not found", "message to edit not found"})
# By the beginning of what Telegram says: it has no codes for errors but those of HTTP.
NAMES = {
    "Bad Request: chat not found": NOT_FOUND,
    "Bad Request: message is not modified": NOT_MODIFIED,
    "Bad Request: message to delete not found": "message to delete not found",
    "Bad Request: message to edit not found": "message to edit not found",
    "Bad Request: message can't be deleted": "message can't be deleted",
    "Bad Request: message can't be edited": "message can't be edited",
    "Bad Request: not enough rights": "not enough rights",
    "Bad Request: message text is empty": "message text is empty",
    "Bad Request: TOPIC_CLOSED": "topic closed",
    "Bad Request: message thread not found": "thread not found",
    "Forbidden: bot was blocked": BLOCKED,
    "Forbidden: bot was kicked": "kicked",
    "Forbidden: bot is not a member": "not a member",
    "Forbidden: bot can't initiate": "no conversation",
    "Forbidden: user is deactivated": "deactivated",
}
EXPLANATIONS = {
    NOT_FOUND: "there is no such chat, or the bot is not in it; add the bot, and check the number",
    BLOCKED: "this person has blocked the bot",
    "kicked": "the bot was removed from the group; add it again",
    "not a member": "the bot is not in the channel; make it an administrator there",
    "no conversation": "this person has to write to the bot first",
    "deactivated": "this person has left Telegram",
    "not enough rights": "the bot may not write there; give it the right",
    "message can't be deleted": "a bot can remove a message for 48 hours only",
    "message can't be edited": "the message cannot be changed",
    "message to edit not found": "the message to change was deleted",
    "message text is empty": "the text is empty",
    "topic closed": "the topic is closed",
    "thread not found": "the message to answer was deleted",
}
_TOKEN = "the token is not valid; copy it again from @BotFather"  # noqa: S105 (a sentence)
BY_STATUS = {401: _TOKEN, 404: _TOKEN, 403: "the bot may not write there"}

# A name behind @ would be notified, and a command could be pressed; @@name and /@name have a name
# in them, and //start no command.
_SIGN = re.compile(r"(?<!\w)([@#]|(?<!/)/)(?=\w)")
_CHAT = re.compile(r"-?\d{1,20}|@\w{4,64}", re.ASCII)


class TelegramOptions(ChannelOptions):
    """`token` is the bot's, as @BotFather gives it; `api_url` for a Bot API server of one's own."""

    token: SecretStr
    api_url: ApiAddress = "https://api.telegram.org"
    rate: Rate | None = timedelta(seconds=3)

    @field_validator("token")
    @classmethod
    def _is_token(cls, token: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[\w:=-]+", token.get_secret_value(), re.ASCII):
            raise ValueError("must look like 123456:ABC-DEF…, as @BotFather gives it")
        return token


class TelegramChannel(ApiChannel):
    """Sends to the number of a chat, or to the @name of a public channel or group.

    Without markup: the text is shown as it is, and nobody in it is notified.
    """

    options: ClassVar[type[ChannelOptions]] = TelegramOptions
    service = "Telegram"
    explanations = EXPLANATIONS
    by_status = BY_STATUS
    undoes: ClassVar[frozenset[str]] = frozenset({"update", "thread", "retract"})
    longest: ClassVar[int | None] = LONGEST

    def __init__(self, options: TelegramOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(options, client, clock)
        base = options.api_url.rstrip("/")
        self._api = httpx.URL(f"{base}/bot{options.token.get_secret_value()}/")

    @classmethod
    def target_problem(cls, target: str) -> str | None:
        said = "the target must be the number of a chat, such as -1001234567890, or @name"
        return None if _CHAT.fullmatch(target) else said

    @property
    def address(self) -> httpx.URL:
        return self._api

    async def send(self, message: Message) -> SentRef:
        self.demand_target(message.target)
        return await self._send(message, {"chat_id": message.target})

    async def take_back(self, message: Message) -> SentRef:
        posted = message.receipt or {}
        if message.undo == "thread":
            answered = {"message_id": posted.get("message_id"), "allow_sending_without_reply": True}
            place = {"chat_id": posted.get("chat_id"), "reply_parameters": answered}
            return await self._send(message, place)
        if message.undo == "retract":
            await self._method("deleteMessage", message, dict(posted))
        else:
            await self._method("editMessageText", message, {**posted, **_content(message.text)})
        return posted

    async def probe(self, check: ConnectionCheck) -> None:
        """Ask who the bot is, which needs a valid token."""
        del check
        await self.call("POST", self._api.join("getMe"))

    async def _send(self, message: Message, place: Json) -> SentRef:
        answer = await self._method("sendMessage", message, {**place, **_content(message.text)})
        # The number of the chat as it is now: the name of a channel can change hands.
        chat_id = answer.at("result", "chat", "id") or place["chat_id"]
        return {"chat_id": chat_id, "message_id": answer.at("result", "message_id")}

    async def _method(self, method: str, message: Message, content: Json) -> ApiAnswer:
        """Call a method; a change that was made already counts as made."""
        try:
            return await self.call("POST", self._api.join(method), message, json=content)
        except ApiRefusal as error:
            is_gone = method == "deleteMessage" and error.name in GONE
            if error.name != NOT_MODIFIED and not is_gone:
                raise
            return ApiAnswer(httpx.codes.OK, {}, None)

    def accepts(self, answer: ApiAnswer) -> bool:
        return answer.is_success and answer.at("ok") is True

    def error_name(self, answer: ApiAnswer) -> str:
        said = str(answer.at("description") or "")
        known = (name for beginning, name in NAMES.items() if said.startswith(beginning))
        return next(known, str(answer.at("error_code") or ""))

    def refusal(self, answer: ApiAnswer) -> SendError:
        chat = answer.at("parameters", "migrate_to_chat_id")
        if not isinstance(chat, int):
            return super().refusal(answer)
        said = f"Telegram refused: the group is a supergroup now; write its new number {chat}"
        return ApiRefusal(said, UPGRADED, answer.status)

    def pause(self, answer: ApiAnswer) -> timedelta | None:
        return seconds(answer.at("parameters", "retry_after")) or super().pause(answer)


def _content(text: str) -> Json:
    demand_text(text)
    shown = fitted(text, LONGEST, lambda part: utf16_units(_plain(part)))
    # No preview of what stands behind a link, which anyone may have put into a task.
    return {"text": _plain(shown), "link_preview_options": {"is_disabled": True}}


def _plain(text: str) -> str:
    """The text without names, commands and tags that could be pressed, by invisible joiners."""
    return escaped(text, lambda part: _SIGN.sub("\\1\u2060", part))
