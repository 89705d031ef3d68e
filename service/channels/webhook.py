"""Webhooks to any server, signed per Standard Webhooks 1.0 (standardwebhooks.com)."""

import hmac
from base64 import b64encode
from datetime import timedelta
from typing import Any, ClassVar

import httpx
import orjson
from pydantic import Field, SecretStr, field_validator

from service.channels import (
    ChannelOptions,
    ConfiguredChannel,
    HttpAddress,
    Message,
    SentRef,
    http_call,
)
from service.clock import Clock
from service.domain.model import JSON_OPTIONS
from service.errors import SendError
from service.http import retry_after
from service.http.connection_check import ConnectionCheck
from service.settings import keys

GONE = 410
PAUSE = timedelta(minutes=1)  # for who asks for one without saying how long


class WebhookOptions(ChannelOptions):
    """`secret` is `whsec_` with base64 behind it; without one nothing is signed.

    `url` is where messages are posted.
    """

    url: HttpAddress
    secret: SecretStr | None = None
    concurrency: int = Field(64, ge=1, le=1000)

    @field_validator("secret")
    @classmethod
    def _is_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            keys.demand_long("secret", _key(secret.get_secret_value()))
        return secret


class WebhookChannel(ConfiguredChannel):
    """Posts the event, the task and the text to one address.

    Any 2xx is success, and after a 410 nothing more is sent there; after any other response,
    including redirects, the message is retried.
    """

    options: ClassVar[type[ChannelOptions]] = WebhookOptions
    needs_target: ClassVar[bool] = False
    needs_text: ClassVar[bool] = False
    reaches_people: ClassVar[bool] = False

    def __init__(self, options: WebhookOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        self._url = httpx.URL(options.url.get_secret_value())
        self._timeout = options.timeout
        self._extensions = {"timeout": client.timeout.as_dict()}
        self._client = client
        self._clock = clock
        self._is_gone = False
        self._signer = None
        if options.secret is not None:
            self._signer = hmac.new(_key(options.secret.get_secret_value()), digestmod="sha256")

    async def send(self, message: Message) -> SentRef:
        if self._is_gone:
            raise SendError(
                f"{self._url.host} answered 410 before: it wants no more webhooks. Remove the"
                " channel from the configuration, or restart Taskbell to try again",
                permanent=True,
            )
        async with http_call(self._url.host, self._timeout):
            # The answer's body says nothing that is needed, and may be endless.
            response = await self._client.send(self._request(message), stream=True)
            await response.aclose()
        if not response.is_success:
            raise self._refusal(response)
        return {}

    async def probe(self, check: ConnectionCheck) -> None:
        await check(self._url, self._timeout)

    def _request(self, message: Message) -> httpx.Request:
        # Not by the client's build_request: merging parameters, cookies and headers that are
        # not there is a seventh of the whole cost of sending.
        body = _body(message)
        return httpx.Request(
            "POST",
            self._url,
            content=body,
            headers=self._headers(message.key, body),
            extensions=self._extensions,
        )

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock.now().timestamp()))
        headers = {
            "content-type": "application/json",
            "user-agent": "taskbell",
            "webhook-id": key,
            "webhook-timestamp": timestamp,
        }
        if self._signer is not None:
            signer = self._signer.copy()
            signer.update(f"{key}.{timestamp}.".encode() + body)
            headers["webhook-signature"] = "v1," + b64encode(signer.digest()).decode()
        return headers

    def _refusal(self, response: httpx.Response) -> SendError:
        status, host = response.status_code, self._url.host
        if status == GONE:
            self._is_gone = True
            said = f"{host} answered 410: it wants no more webhooks"
            return SendError(said, permanent=True, status=status)
        pause = retry_after(response.headers, self._clock.now())
        not_now = status == httpx.codes.TOO_MANY_REQUESTS
        if pause is None and not_now:
            pause = PAUSE
        said = f"{host} answered {status}"
        return SendError(said, retry_after=pause, not_now=not_now, status=status)


def _body(message: Message) -> bytes:
    content: dict[str, Any] = {
        "type": message.type,
        "timestamp": message.at,
        "data": {
            "event": message.event,
            "task": message.task,
            "before": message.before,
            "rule": message.rule,
            "text": message.text,
        },
    }
    return orjson.dumps(content, option=JSON_OPTIONS)


def _key(secret: str) -> bytes:
    """The key itself. A secret without the prefix is not used as it is, as no library does that."""
    if not secret.startswith(keys.PREFIX):
        raise keys.not_standard()
    return keys.standard_key(secret)
