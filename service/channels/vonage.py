"""Vonage: text messages to phones.

Sources: Vonage's "Troubleshooting SMS" and "SMS API errors" (in an answer of 200, the `status` of
each part), "Concatenation and encoding" (`type`), its code snippets (a form, by Basic
authentication) and "Get your current account balance". How long a text may be is said nowhere:
1,600 characters are about ten parts. Vonage recognises no repetition: a message that may have been
accepted is not sent again automatically. That a person has opted out is told by a delivery receipt
only ("Messaging Opted-out Numbers"); status 7 may have other causes.
"""

import re
from base64 import b64encode
from typing import Any, ClassVar

import httpx
from pydantic import Field, SecretStr

from service.channels import ApiAddress, ChannelOptions, Message, SentRef
from service.channels.http_api import PAUSE, ApiAnswer, ApiChannel, demand_text
from service.channels.phone_numbers import (
    WRONG_NUMBER,
    CountryCode,
    NumberText,
    compact,
    international,
    is_whole,
    may_be_number,
)
from service.channels.text_fitting import fitted, utf16_units
from service.clock import Clock
from service.errors import SendError
from service.http.connection_check import ConnectionCheck
from service.sources.account import HeaderText

LONGEST = 1600
TAKEN, THROTTLED, INTERNAL, TOO_MANY_BINDS = "0", "1", "5", "10"
_STATUS = re.compile(r"\d{1,3}", re.ASCII)
_LOGIN = "api_key or secret is not valid; copy both again from Vonage's dashboard"
_NUMBER = "the number cannot be reached; check it, with its country code"
EXPLANATIONS = {
    "4": _LOGIN,
    "6": _NUMBER,
    "7": "the number is barred from getting messages",
    "8": "the account is suspended; ask Vonage",
    "9": "the account has no credit left; top it up",
    "11": "the account may not use the SMS API; ask Vonage",
    "12": "the message is too long",
    "15": "the sender in `from` cannot send this; check it in Vonage's dashboard",
}
BY_STATUS = {401: _LOGIN, 403: _LOGIN}
# The letters of GSM 03.38 and its extension; with any other, the whole message is in Unicode.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ÄÖÑÜ§¿äöñüà^{}\\[~]|€"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)


class VonageOptions(ChannelOptions):
    """`api_key` is the account's key, and `secret` its API secret.

    `from` is the sender: a number, or a name of up to 11 letters. `country_code` completes numbers
    that have none, such as +1. `api_url` is the address of the API in another region.
    """

    api_key: HeaderText = Field(pattern="^[A-Za-z0-9]+$")
    secret: SecretStr
    sender: NumberText = Field(alias="from", examples=["ACME"])
    country_code: CountryCode | None = None
    api_url: ApiAddress = "https://rest.nexmo.com"


class VonageChannel(ApiChannel):
    """Writes to `+4915112345678`."""

    options: ClassVar[type[ChannelOptions]] = VonageOptions
    service = "Vonage"
    explanations = EXPLANATIONS
    by_status = BY_STATUS
    at_most_once: ClassVar[bool] = True
    longest: ClassVar[int | None] = LONGEST

    def __init__(self, options: VonageOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(options, client, clock)
        login = f"{options.api_key}:{options.secret.get_secret_value()}"
        self._headers = {"authorization": f"Basic {b64encode(login.encode()).decode()}"}
        self._url = httpx.URL(f"{options.api_url.rstrip('/')}/")
        self._options = options

    @classmethod
    def target_problem(cls, target: str) -> str | None:
        return None if may_be_number(target) else WRONG_NUMBER

    @property
    def address(self) -> httpx.URL:
        return self._url

    async def send(self, message: Message) -> SentRef:
        demand_text(message.text)
        self.demand_target(message.target)
        number = international(message.target, self._options.country_code)
        form = {"from": self._sender(), "to": number.removeprefix("+"), **_content(message.text)}
        url = self._url.join("sms/json")
        answer = await self.call("POST", url, message, self._headers, data=form)
        if not _parts(answer):
            raise self.refusal(answer)
        return {"id": str(_parts(answer)[0].get("message-id"))}

    async def probe(self, check: ConnectionCheck) -> None:
        """Ask for the account's balance, which needs a valid login."""
        del check
        await self.call("GET", self._url.join("account/get-balance"), headers=self._headers)

    def _sender(self) -> str:
        number = compact(self._options.sender)
        return number.removeprefix("+") if is_whole(number) else self._options.sender

    def accepts(self, answer: ApiAnswer) -> bool:
        is_ours = answer.is_success and isinstance(answer.content, dict)
        return is_ours and not self.error_name(answer)

    def error_name(self, answer: ApiAnswer) -> str:
        """The status of the first part that was not taken."""
        found = (status for status in _statuses(answer) if status != TAKEN)
        return next(found, "")

    def refusal(self, answer: ApiAnswer) -> SendError:
        statuses = _statuses(answer)
        if TAKEN in statuses or INTERNAL in statuses:
            what = "accepted only a part of it" if TAKEN in statuses else "failed"
            said = f"Vonage {what} ({self.error_name(answer)})"
            return SendError(said, outcome_unknown=True, status=answer.status)
        if {THROTTLED, TOO_MANY_BINDS} & {*statuses}:
            said = "Vonage asked Taskbell to slow down"
            return SendError(said, retry_after=PAUSE, not_now=True, status=answer.status)
        return super().refusal(answer)


def _parts(answer: ApiAnswer) -> list[dict[str, Any]]:
    """What Vonage says of each part of the message."""
    found = answer.at("messages")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _statuses(answer: ApiAnswer) -> list[str]:
    known = (str(one.get("status")) for one in _parts(answer))
    return [status if _STATUS.fullmatch(status) else "no status" for status in known]


def _content(text: str) -> dict[str, str]:
    """The text with three dots where it is cut: "…" would make more, and dearer, messages of it."""
    body = fitted(text, LONGEST, utf16_units, "...")
    return {"text": body, "type": "text" if _GSM.issuperset(body) else "unicode"}
