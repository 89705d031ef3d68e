"""Twilio: text messages, WhatsApp messages and calls to phones.

Sources: Twilio's documentation of the Messages resource (up to 1,600 characters, a sender or a
messaging service), the Calls resource (`Twiml` of up to 4,000 characters) and its "Error and
warning dictionary". Twilio recognises no repetition, and a phone rings each time: a message that
may have been accepted is not sent again automatically. An answer of 429 means that nothing was done
(error 20429).
"""

import re
from base64 import b64encode
from typing import ClassVar, TypeAlias
from xml.sax.saxutils import escape

import httpx
from pydantic import Field, SecretStr, field_validator

from service.channels import ApiAddress, ChannelOptions, Message, SentRef
from service.channels.http_api import ApiAnswer, ApiChannel, ApiRefusal, demand_text
from service.channels.markup import escaped
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
from service.errors import OptedOut, SendError
from service.http.connection_check import ConnectionCheck
from service.sources.account import HeaderText

Form: TypeAlias = dict[str, str]

LONGEST, LONGEST_CALL = 1600, 4000
SMS, WHATSAPP, VOICE = WAYS = ("sms", "whatsapp", "voice")
WRONG_WAY = "the target must be a number, or whatsapp: or voice: and a number"
STOPPED = "21610"
FAILED = frozenset({"failed", "undelivered", "canceled"})
_LOGIN = "account_sid or token is not valid; copy both again from Twilio's console"
_NUMBER = "the number cannot be reached; check it, with its country code"
_REGIONS = "it is not allowed for this country; allow it in Twilio's geographic permissions"
_SENDER = "the sender in `from` cannot send this; check it in Twilio's console"
EXPLANATIONS = {
    "20003": _LOGIN,
    "20404": _LOGIN,
    "21210": _SENDER,
    "21211": _NUMBER,
    "21212": _SENDER,
    "21214": _NUMBER,
    "21215": _REGIONS,
    "21217": _NUMBER,
    "21219": "a trial account can call verified numbers only",
    "21408": _REGIONS,
    "21606": _SENDER,
    "21608": "a trial account can write to verified numbers only",
    STOPPED: "this person has answered STOP, and gets nothing until they text START",
    "21612": "this sender cannot reach this number",
    "21614": "the number is not a mobile phone's",
    "21617": "the message is too long",
    "21659": _SENDER,
    "21703": "the messaging service has no sender",
    "63007": "there is no such WhatsApp sender; check `whatsapp_from`",
    "63016": "WhatsApp allows free text only for 24 hours after the person wrote",
}
BY_STATUS = {401: _LOGIN, 404: _LOGIN}

_NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# WhatsApp has no way to escape its marks; these look alike.
_MARKS = str.maketrans({"*": "\uff0a", "_": "\uff3f", "~": "\uff5e", "`": "\uff40"})


class TwilioOptions(ChannelOptions):
    """`account_sid` is the account's (AC…), and `token` its auth token.

    `key_sid` is that of an API key (SK…), whose secret is then the `token`. `from` is the sender: a
    number, a name, or a messaging service (MG…). `whatsapp_from` is the number of the WhatsApp
    sender; not given, it is that in `from`. `country_code` completes numbers that have none, such
    as +1. `language` is that in which calls are spoken, such as en-GB. `api_url` is the address of
    the API in another region.
    """

    account_sid: HeaderText = Field(pattern="^[A-Za-z0-9]+$")
    token: SecretStr
    key_sid: HeaderText | None = None
    sender: NumberText = Field(alias="from", examples=["+14155550100"])
    whatsapp_from: NumberText | None = None
    country_code: CountryCode | None = None
    language: str = Field("en-US", pattern=r"^[A-Za-z-]{2,20}$")
    api_url: ApiAddress = "https://api.twilio.com"

    @field_validator("whatsapp_from")
    @classmethod
    def _is_number(cls, number: str | None) -> str | None:
        if number is not None and not is_whole(compact(number)):
            raise ValueError("must be a number with its country code, such as +14155550100")
        return number


class TwilioChannel(ApiChannel):
    """Writes to `+4915112345678`, to `whatsapp:+49…`, or calls `voice:+49…` and reads the text."""

    options: ClassVar[type[ChannelOptions]] = TwilioOptions
    service = "Twilio"
    explanations = EXPLANATIONS
    by_status = BY_STATUS
    at_most_once: ClassVar[bool] = True
    longest: ClassVar[int | None] = LONGEST

    def __init__(self, options: TwilioOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        super().__init__(options, client, clock)
        base = f"{options.api_url.rstrip('/')}/2010-04-01/Accounts/"
        self._url = httpx.URL(base).join(f"{options.account_sid}/")
        login = f"{options.key_sid or options.account_sid}:{options.token.get_secret_value()}"
        self._headers = {"authorization": f"Basic {b64encode(login.encode()).decode()}"}
        self._options = options

    @classmethod
    def target_problem(cls, target: str) -> str | None:
        way, number = _split(target)
        if way not in WAYS:
            return WRONG_WAY
        return None if may_be_number(number) else WRONG_NUMBER

    @property
    def address(self) -> httpx.URL:
        return self._url

    async def send(self, message: Message) -> SentRef:
        demand_text(message.text)
        self.demand_target(message.target)
        way, number = _destination(message.target, self._options.country_code)
        resource = "Calls.json" if way == VOICE else "Messages.json"
        form = self._form(way, number, message.text)
        url = self._url.join(resource)
        try:
            answer = await self.call("POST", url, message, self._headers, data=form)
        except ApiRefusal as error:
            if error.name == STOPPED:
                raise OptedOut(str(error), number, error.status) from error
            raise
        return {"sid": str(answer.at("sid"))}

    async def probe(self, check: ConnectionCheck) -> None:
        """Read one message of the account, which any key may that can send one."""
        del check
        url = self._url.join("Messages.json?PageSize=1")
        await self.call("GET", url, headers=self._headers)

    def _form(self, way: str, number: str, text: str) -> Form:
        if way == VOICE:
            sender = _own_number(self._options.sender, "from")
            return {"To": number, "From": sender, "Twiml": self._spoken(text)}
        if way == WHATSAPP:
            sender = _own_number(
                self._options.whatsapp_from or self._options.sender, "whatsapp_from"
            )
            body = _fitted(escaped(text, lambda part: part.translate(_MARKS)))
            return {"To": f"whatsapp:{number}", "From": f"whatsapp:{sender}", "Body": body}
        is_service = self._options.sender.startswith("MG")
        name = "MessagingServiceSid" if is_service else "From"
        return {"To": number, name: self._options.sender, "Body": _fitted(text)}

    def _spoken(self, text: str) -> str:
        def twiml(part: str) -> str:
            said = escape(_NOT_XML.sub(" ", part))
            return f'<Response><Say language="{self._options.language}">{said}</Say></Response>'

        return twiml(fitted(text, LONGEST_CALL, lambda part: utf16_units(twiml(part))))

    def accepts(self, answer: ApiAnswer) -> bool:
        return (
            answer.is_success and isinstance(answer.content, dict) and not self.error_name(answer)
        )

    def error_name(self, answer: ApiAnswer) -> str:
        """The number of the error, also of one reported for a message that Twilio accepted."""
        code = answer.at("error_code") if answer.is_success else answer.at("code")
        if code is None and answer.at("status") in FAILED:
            return str(answer.at("status"))
        is_number = isinstance(code, int | str) and re.fullmatch(r"\d{4,6}", str(code))
        return str(code) if is_number else ""


def _destination(target: str, country_code: str | None) -> tuple[str, str]:
    """How to reach whom: sms, whatsapp or voice, and a number in the form of E.164."""
    way, written = _split(target)
    return way, international(written, country_code)


def _split(target: str) -> tuple[str, str]:
    head, colon, tail = target.partition(":")
    return (head.strip().lower(), tail) if colon else (SMS, target)


def _own_number(sender: str, option: str) -> str:
    """The number that calls or writes: by a name or a service, only text messages are sent."""
    number = compact(sender)
    if not is_whole(number):
        raise SendError(f"this needs a number of yours in `{option}`", permanent=True)
    return number


def _fitted(text: str) -> str:
    """With three dots where it is cut: "…" would make more, and dearer, messages of it."""
    return fitted(text, LONGEST, utf16_units, "...")
