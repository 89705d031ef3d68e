"""Microsoft Teams, by the address of a workflow that posts what is sent to it as a card.

Such an address belongs to one channel or chat: the template "Send webhook alerts to a channel" of
the Workflows app makes it. The workflow takes a message with an Adaptive Card and answers 202
before it posts: a message that is too large for Teams would be lost without an error. The response
has no id, so a post cannot be changed.
"""

import re
from datetime import timedelta
from typing import Any, ClassVar, TypeAlias

import httpx
import orjson
from pydantic import SecretStr, field_validator

from service.channels import ChannelOptions, HttpAddress, Message, SentRef
from service.channels.http_api import ApiAnswer, ApiChannel, demand_text
from service.channels.markup import ADDRESS
from service.channels.pace import Rate
from service.channels.text_fitting import fitted
from service.clock import Clock
from service.diagnostics import refused

Json: TypeAlias = dict[str, Any]

# learn.microsoft.com/connectors/teams: "approximately 28 KB", of everything in the message.
LARGEST = 28_000
# Where Office 365 connectors were, which answered 200 to what they did not post.
RETIRED = ("outlook.office.com", "outlook.office365.com", "webhook.office.com")

# What needs no blank line before it, and the end of a link's text.
LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s")
LINK = re.compile(r"\](?=[(\[:])")

EXPLANATIONS = {
    "AuthorizationFailed": "its address is not complete; copy it again from the workflow",
    "DirectApiAuthorizationRequired": "only people of the organization may start the workflow;"
    " let anyone start it, and copy its address again",
    "TriggerInputSchemaMismatch": "the workflow does not take cards; make one from the template"
    " that sends webhook alerts to a channel",
    "WorkflowNotFound": "there is no such workflow any more; make a new one",
    "WorkflowTriggerIsNotEnabled": "the workflow was turned off or deleted; turn it on, or make a"
    " new one",
    "WorkflowTriggerVersionNotFound": "the workflow has changed; copy its address again",
}
BY_STATUS = {
    401: EXPLANATIONS["AuthorizationFailed"],
    403: "the organization does not allow it; ask its administrator",
    404: EXPLANATIONS["WorkflowNotFound"],
    413: "the message is too large",
}


class TeamsOptions(ChannelOptions):
    """`url` is the address of the workflow; anyone who knows it can post."""

    url: HttpAddress
    rate: Rate | None = timedelta(seconds=1)

    @field_validator("url")
    @classmethod
    def _is_in_service(cls, url: SecretStr) -> SecretStr:
        host = httpx.URL(url.get_secret_value()).host
        if host.endswith(RETIRED):
            message = "url is the address of an Office 365 connector, which Microsoft has retired"
            raise refused(message, "make a workflow in Teams, and write its address")
        return url


class TeamsChannel(ApiChannel):
    """Posts to the channel or chat that the workflow was made for.

    The text is Markdown as far as Teams goes: bold, italics and lists. A link shows where it leads,
    whatever a task's title says.
    """

    options: ClassVar[type[ChannelOptions]] = TeamsOptions
    service = "Teams"
    explanations = EXPLANATIONS
    by_status = BY_STATUS
    needs_target: ClassVar[bool] = False

    def __init__(self, options: TeamsOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(options, client, clock)
        self._url = httpx.URL(options.url.get_secret_value())

    @property
    def address(self) -> httpx.URL:
        return self._url

    async def send(self, message: Message) -> SentRef:
        headers = {
            # Without the charset Teams may spoil emoji: Microsoft's "Format cards in Teams".
            "content-type": "application/json; charset=utf-8",
            # The run of the workflow is found by it in its history.
            "x-ms-client-tracking-id": message.key,
        }
        demand_text(message.text)
        body = _posted(fitted(message.text, LARGEST, lambda text: len(_posted(text))))
        await self.call("POST", self._url, message, headers, content=body)
        return {}

    def error_name(self, answer: ApiAnswer) -> str:
        """The name of an error, as Azure's services say it."""
        code = answer.at("error", "code")
        # Letters only: what is signed with has digits as well, and is not to be repeated.
        return code if isinstance(code, str) and code.isalpha() and code.isascii() else ""


def _posted(text: str) -> bytes:
    block = {"type": "TextBlock", "text": _markdown(text), "wrap": True}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "msteams": {"width": "Full"},
        "body": [block],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return orjson.dumps({"type": "message", "attachments": [attachment]})


def _markdown(text: str) -> str:
    """The text as Teams shows it line by line, with links that say where they lead.

    A line by itself is a paragraph, as lines that only follow each other would become one. Teams
    makes no link of an address that is not written as one.
    """
    shown = ADDRESS.sub(r"[\g<0>](\g<0>)", LINK.sub("] ", text))
    lines = filter(str.strip, shown.splitlines())
    parts = (f"\n{one}" if LIST_ITEM.match(one) else f"\n\n{one.strip()}" for one in lines)
    return "".join(parts).strip()
