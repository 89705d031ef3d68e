"""Webhooks to any server, signed per Standard Webhooks 1.0 (standardwebhooks.com).

Templates for the address, the headers and the body make a request of any HTTP API.
"""

from typing import Any, ClassVar

import httpx

from service.channels import ChannelOptions, ConfiguredChannel, Message, SentRef, http_call
from service.channels.http_api import PAUSE
from service.channels.webhook_request import RequestBuilder, WebhookOptions
from service.clock import Clock
from service.errors import SendError
from service.http import retry_after
from service.http.answers import read_answer
from service.http.connection_check import ConnectionCheck
from service.http.json_body import aside, salvaged
from service.rules.language.response_conditions import ResponseCondition
from service.rules.language.templates import RenderError

GONE = 410
LARGEST_ANSWER = 1024 * 1024  # bytes, of which a condition asks


class WebhookChannel(ConfiguredChannel):
    """Calls one address with the event, the task and the text, or with what its templates say.

    Any 2xx is success, unless `success` says otherwise, and after a 410 nothing more is sent there;
    after any other response, including redirects, the message is retried.
    """

    options: ClassVar[type[ChannelOptions]] = WebhookOptions
    needs_target: ClassVar[bool] = False
    needs_text: ClassVar[bool] = False
    reaches_people: ClassVar[bool] = False

    def __init__(self, options: WebhookOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        self._url = httpx.URL(options.url.get_secret_value())
        self._timeout = options.timeout
        self._requests = RequestBuilder(options, client)
        self._success: ResponseCondition | None = None
        if options.success is not None:
            self._success = ResponseCondition(options.success, "success")
        self._client = client
        self._clock = clock
        self._is_gone = False

    async def send(self, message: Message) -> SentRef:
        if self._is_gone:
            raise SendError(
                f"{self._url.host} answered 410 before: it wants no more webhooks. Remove the"
                " channel from the configuration, or restart Taskbell to try again",
                permanent=True,
            )
        try:
            request = self._requests.request(message, self._clock.now())
        except (RenderError, httpx.InvalidURL) as error:
            raise SendError(f"nothing was sent: {error}", permanent=True) from None
        async with http_call(self._url.host, self._timeout):
            response = await self._client.send(request, stream=True)
            try:
                doubt = await self._doubt(response)
            finally:
                await response.aclose()
        if doubt is not None:
            raise self._refusal(response, doubt)
        return {}

    async def probe(self, check: ConnectionCheck) -> None:
        await check(self._url, self._timeout)

    async def _doubt(self, response: httpx.Response) -> str | None:
        """Why the message does not count as sent; None if it does."""
        if self._success is None:
            # The answer's body says nothing that is needed, and may be endless.
            return None if response.is_success else ""
        body = await read_answer(response, LARGEST_ANSWER)
        try:
            content: Any = await aside(len(body), salvaged, body)
        except ValueError:
            content = body.decode(errors="replace")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return self._success.doubt(response.status_code, headers, content)

    def _refusal(self, response: httpx.Response, doubt: str) -> SendError:
        status, host = response.status_code, self._url.host
        if status == GONE:
            self._is_gone = True
            said = f"{host} answered 410: it wants no more webhooks"
            return SendError(said, permanent=True, status=status)
        pause = retry_after(response.headers, self._clock.now())
        not_now = status == httpx.codes.TOO_MANY_REQUESTS
        if pause is None and not_now:
            pause = PAUSE
        said = f"{host} answered {status}" + (f"; `success` is not met: {doubt}" if doubt else "")
        return SendError(said, retry_after=pause, not_now=not_now, status=status)
