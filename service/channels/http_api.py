"""Channels that call the HTTP API of a service: what its answers mean, said in words.

A service has its own names for its errors, its own way to ask for a pause, and some say in a 200
that they refused. Each channel of that kind says what differs; what they share is here.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import httpx

from service.channels import ChannelOptions, ConfiguredChannel, Message, http_call
from service.clock import Clock
from service.errors import SendError
from service.http import LONGEST_PAUSE, retry_after
from service.http.connection_check import ConnectionCheck
from service.http.json_body import aside, salvaged

PAUSE = timedelta(minutes=1)
REQUEST_TIMEOUT, TOO_MANY, SERVER_ERROR = 408, 429, 500


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """An answer; `content` is its JSON, or None."""

    status: int
    headers: Mapping[str, str]
    content: Any

    @property
    def is_success(self) -> bool:
        return httpx.codes.is_success(self.status)

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people: that of something in front of the service."""
        return "html" in self.headers.get("content-type", "").lower()

    def at(self, *path: str) -> Any:
        """The value at a path in the JSON, or None."""
        found = self.content
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found


class ApiRefusal(SendError):
    """The service refused; `name` is its own name for the error, or ""."""

    def __init__(self, message: str, name: str, status: int) -> None:
        super().__init__(message, permanent=True, status=status)
        self.name = name


class ApiChannel(ConfiguredChannel):
    """A channel of one service.

    - `service`: its name, as errors have it
    - `explanations`: for its own name of an error, what that means and what to do
    - `by_status`: the same by the status, for answers that name no error
    - `address`: what the doctor connects to; whoever calls sets it
    """

    service: ClassVar[str]
    explanations: ClassVar[Mapping[str, str]] = {}
    by_status: ClassVar[Mapping[int, str]] = {}

    def __init__(self, options: ChannelOptions, client: httpx.AsyncClient, clock: Clock) -> None:
        self._timeout = options.timeout
        self._client = client
        self._clock = clock

    @property
    @abstractmethod
    def address(self) -> httpx.URL:
        """The address of the API."""

    async def probe(self, check: ConnectionCheck) -> None:
        await check(self.address, self._timeout)

    async def call(
        self,
        method: str,
        url: httpx.URL,
        message: Message | None = None,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> ApiAnswer:
        """Call the API, with `json`, `data` (a form) or `content`; raises SendError.

        The message's key is sent as well: it is found in the logs of a proxy, and a service that
        knows the header can tell a repetition.
        """
        given = dict(headers or {})
        if message is not None:
            given["idempotency-key"] = message.key
        async with http_call(url.host, self._timeout):
            response = await self._client.request(method, url, headers=given, **content)
        answer = await _read(response)
        if not self.accepts(answer):
            raise self.refusal(answer)
        return answer

    def demand_target(self, target: str) -> None:
        """Raise SendError for a target that cannot be one."""
        if (problem := self.target_problem(target)) is not None:
            raise SendError(problem, permanent=True)

    def accepts(self, answer: ApiAnswer) -> bool:
        """Whether the service did what it was asked."""
        return answer.is_success and not self.error_name(answer)

    def error_name(self, answer: ApiAnswer) -> str:
        """The service's own name for its error, without anything that may be secret; or ""."""
        del answer
        return ""

    def pause(self, answer: ApiAnswer) -> timedelta | None:
        """How long the service asks to wait."""
        return retry_after(answer.headers, self._clock.now())

    def refusal(self, answer: ApiAnswer) -> SendError:
        """The error for an answer that is not accepted."""
        status, name = answer.status, self.error_name(answer)
        if status == TOO_MANY:
            said, pause = f"{self.service} asked Taskbell to slow down", self.pause(answer)
            pause = PAUSE if pause is None else pause
            return SendError(said, retry_after=pause, not_now=True, status=status)
        if status == REQUEST_TIMEOUT or status >= SERVER_ERROR:
            said, pause = f"{self.service} answered {status}", self.pause(answer)
            return SendError(said, outcome_unknown=True, retry_after=pause, status=status)
        if answer.is_success and not name:
            said = f"something answered {status}, but not as {self.service} does"
            return SendError(said, outcome_unknown=True, status=status)
        return self._refused(answer, name)

    def _refused(self, answer: ApiAnswer, name: str) -> SendError:
        status = answer.status
        if status == httpx.codes.FORBIDDEN and answer.is_page and not name:
            said = f"a web page came instead of an answer of {self.service} ({status}):"
            said += " a firewall or a proxy may be in between"
            return SendError(said, status=status)
        unknown = f"see the documentation of {self.service}"
        reason = self.explanations.get(name) or self.by_status.get(status) or unknown
        return ApiRefusal(f"{self.service} refused: {reason} ({name or status})", name, status)


def seconds(value: Any) -> timedelta | None:
    """A pause that a service gives as a number of seconds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return None
    return timedelta(seconds=min(value, LONGEST_PAUSE.total_seconds()))


def demand_text(text: str) -> None:
    """Raise SendError for a template that came to nothing: no service takes an empty message."""
    if not text.strip():
        raise SendError("the text is empty", permanent=True)


async def _read(response: httpx.Response) -> ApiAnswer:
    try:
        content = await aside(len(response.content), salvaged, response.content)
    except ValueError:
        content = None
    return ApiAnswer(response.status_code, response.headers, content)
