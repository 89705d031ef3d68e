"""Google Chat, by the address of a webhook of one space.

Sources: Google's "Send messages to Google Chat with incoming webhooks" (threads by
`messageReplyOption`), "Format messages" (cards know a few tags of HTML, texts have marks and
mentions of their own that cannot be escaped), the reference of `spaces.messages` (32,000 bytes;
`fallbackText` for notifications) and "Usage limits" (one write a second in a space). A webhook can
neither change nor remove what it posted, nor recognise a repetition.
"""

from datetime import timedelta
from html import escape
from typing import Any, ClassVar, TypeAlias

import httpx
import orjson
from pydantic import SecretStr, field_validator

from service.channels import ChannelOptions, HttpAddress, Message, SentRef
from service.channels.http_api import ApiAnswer, ApiChannel, demand_text
from service.channels.markup import escaped
from service.channels.pace import Rate
from service.channels.text_fitting import fitted, one_line
from service.clock import Clock
from service.diagnostics import refused

Json: TypeAlias = dict[str, Any]

# Of 32,000 bytes in all.
LARGEST, LONGEST_NOTICE = 31_000, 200
_AGAIN = "copy the webhook's address again from the space's settings"
EXPLANATIONS = {
    "INVALID_ARGUMENT": "it does not accept this message, or the address is not complete; "
    + _AGAIN,
    "NOT_FOUND": "the space or the webhook was deleted; make a new webhook",
    "PERMISSION_DENIED": "the webhook may not post; its address is not complete, or the"
    " organization does not allow webhooks",
    "UNAUTHENTICATED": "the address is not complete; " + _AGAIN,
}
BY_STATUS = {
    400: EXPLANATIONS["INVALID_ARGUMENT"],
    401: EXPLANATIONS["UNAUTHENTICATED"],
    403: EXPLANATIONS["PERMISSION_DENIED"],
    404: EXPLANATIONS["NOT_FOUND"],
}
_PAGES = frozenset({"mail.google.com", "chat.google.com"})


class GoogleChatOptions(ChannelOptions):
    """`url` is the address of the webhook; anyone who knows it can post."""

    url: HttpAddress
    rate: Rate | None = timedelta(seconds=1)

    @field_validator("url")
    @classmethod
    def _is_webhook(cls, url: SecretStr) -> SecretStr:
        if httpx.URL(url.get_secret_value()).host in _PAGES:
            message = "url is the address of the space's page, and not that of a webhook"
            raise refused(message, "in the space: Apps & integrations, Webhooks")
        return url


class GoogleChatChannel(ApiChannel):
    """Posts to the space that the webhook was made for.

    The text is shown as it is, in a card: nothing in it is markup, and nobody is mentioned.
    """

    options: ClassVar[type[ChannelOptions]] = GoogleChatOptions
    service = "Google Chat"
    explanations = EXPLANATIONS
    by_status = BY_STATUS
    needs_target: ClassVar[bool] = False
    undoes: ClassVar[frozenset[str]] = frozenset({"thread"})

    def __init__(self, options: GoogleChatOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(options, client, clock)
        self._url = httpx.URL(options.url.get_secret_value())

    @property
    def address(self) -> httpx.URL:
        return self._url

    async def send(self, message: Message) -> SentRef:
        return await self._post(message, self._url, {})

    async def take_back(self, message: Message) -> SentRef:
        """Answer in the thread of the message."""
        thread = {"thread": {"name": (message.receipt or {}).get("thread")}}
        option = {"messageReplyOption": "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"}
        return await self._post(message, self._url.copy_merge_params(option), thread)

    async def _post(self, message: Message, url: httpx.URL, thread: Json) -> SentRef:
        demand_text(message.text)
        shown = fitted(message.text, LARGEST, lambda text: len(orjson.dumps(_content(text))))
        answer = await self.call("POST", url, message, json={**_content(shown), **thread})
        return {"name": answer.at("name"), "thread": answer.at("thread", "name")}

    def accepts(self, answer: ApiAnswer) -> bool:
        return answer.is_success and answer.at("name") is not None

    def error_name(self, answer: ApiAnswer) -> str:
        name = answer.at("error", "status")
        return name if name in EXPLANATIONS else ""


def _content(text: str) -> Json:
    paragraph = {"textParagraph": {"text": escaped(text, _shown, _link).replace("\n", "<br>")}}
    card = {"sections": [{"widgets": [paragraph]}]}
    return {
        "fallbackText": one_line(text, LONGEST_NOTICE),
        "cardsV2": [{"cardId": "message", "card": card}],
    }


def _shown(text: str) -> str:
    return escape(text, quote=False)


def _link(address: str) -> str:
    """An address that can be clicked, and says where it leads."""
    return f'<a href="{escape(address)}">{escape(address, quote=False)}</a>'
