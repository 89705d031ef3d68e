"""HTTP access of one account to its system. All calls of a source go through here.

Errors are classified by what the caller must know: whether the call was carried out, whether it may
be repeated, and when.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn
from urllib.parse import quote

import httpx
import orjson

from service.clock import Clock
from service.errors import (
    CallNotStarted,
    OutcomeUnknown,
    SourceBroken,
    SourceError,
    SourceRejected,
    SourceThrottled,
    SourceUnauthorized,
    SourceUnreachable,
)
from service.http import LONGEST_PAUSE, retry_after
from service.http.answers import AnswerRefused, read_answer
from service.http.denials import is_denied, words
from service.http.error_messages import explain, never_sent
from service.http.json_body import TooManyValues, decoded_aside, salvaged
from service.http.rate_limit_headers import Allowance, allowance
from service.http.throttle import Admission, Throttle

# What an error says of a call, in these words; advice is given by them.
CREDENTIALS_REFUSED = "refused the account's credentials"
SLOW_DOWN = "asked Taskbell to slow down"
NOT_REACHED = "could not be reached"
SKIPPED = "was skipped for now"
CHECK_ADDRESS = "check base_url"
REJECTED = "was rejected ("

LARGEST_ANSWER = 64 * 1024 * 1024
LONGEST_EXPLANATION = 4096
LONGEST_EXCERPT = 160

_MINUTE = timedelta(minutes=1)
_TROUBLE = "an earlier call failed or the system asked Taskbell to wait"
_EXPLAINING = (
    *("message", "error", "error_message", "errors", "detail", "reason", "title"),
    "hydra:description",
)
_NO_CREDENTIALS = frozenset({"accept"})
_MARKUP = re.compile(r"<[^>]*>")
_LONG_WORD = re.compile(r"[^\s\"'(),:;]{8,}")
_LIKE_A_SECRET = re.compile(r"[A-Za-z0-9+/_=.-]{20,}")


class SystemClient:
    """HTTP access of one account to its system.

    - `headers`: carry the credentials; neither they nor the `secret` in them appear in an error, in
      whatever form it is sent
    - `total`: the longest that one call may take, even if data still arrives
    - `throttle`: the throttle of this account alone
    - `allowance`: the remaining calls that the system reported last
    """

    def __init__(
        self,
        account: str,
        client: httpx.AsyncClient,
        base_url: str,
        clock: Clock,
        *,
        headers: Mapping[str, str],
        secret: str,
        throttle: Throttle,
        total: timedelta = timedelta(seconds=60),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.account = account
        self.clock = clock
        self.allowance: Allowance | None = None
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers)
        self._secrets = _forms(headers, secret)
        self._trouble = _TROUBLE
        self._throttle = throttle
        self._total = total
        self._sleep = sleep

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        effect: bool = False,
    ) -> Any:
        """Call the system and return the JSON of its response; None for a response without a body.

        `effect` says that the call has an effect and must not be made twice: if it is then unknown
        whether it was carried out, OutcomeUnknown is raised. Raises only SourceError.
        """
        call = _Call(self.account, self._secrets, method, path, effect=effect)
        admission = await self._admitted(call)
        try:
            status, headers, body = await self._exchange(call, params, json)
            pause = self._asked_pause(headers)
            answer = await decoded_aside(len(body), call.read, status, headers, body, pause)
        except (SourceUnauthorized, SourceRejected):
            await self._throttle.succeeded(admission)
            raise
        except SourceError as error:
            self._trouble = f"{_TROUBLE}: {str(error).removeprefix(f'{self.account}: ')}"
            await self._throttle.failed(error.retry_after)
            raise
        await self._throttle.succeeded(admission)
        await self._heed(headers)
        return answer

    def _asked_pause(self, headers: Mapping[str, str]) -> timedelta | None:
        """The pause that an error response asks for: `Retry-After`, or until calls are left."""
        now = self.clock.now()
        asked, found = retry_after(headers, now), allowance(headers, now)
        if asked is not None or found is None or found.remaining or found.lasts is None:
            return asked
        return min(found.lasts, LONGEST_PAUSE)

    async def _admitted(self, call: "_Call") -> Admission:
        """Wait until the call may be made; raises SourceUnreachable or CallNotStarted."""
        admission = await self._throttle.admit()
        if (left := admission.refused_for) is not None:
            call.fail(SourceUnreachable, f"{SKIPPED}, because {self._trouble}", left)
        try:
            await self._sleep(admission.wait.total_seconds())
        except asyncio.CancelledError:
            raise CallNotStarted from None
        return admission

    async def _heed(self, headers: Mapping[str, str]) -> None:
        """Delay the next call, if the system reports that no calls are left for now."""
        found = allowance(headers, self.clock.now())
        if found is None:
            return
        self.allowance = found
        lasts = _MINUTE if found.lasts is None else found.lasts
        if lasts and not found.remaining:
            await self._throttle.spent(lasts)

    async def _exchange(
        self, call: "_Call", params: Mapping[str, str | int] | None, json: Any
    ) -> tuple[int, httpx.Headers, bytes]:
        request = self._client.build_request(
            call.method,
            self._base_url + call.path,
            params=params,
            content=None if json is None else orjson.dumps(json),
            headers=self._headers | ({} if json is None else {"Content-Type": "application/json"}),
        )
        try:
            async with asyncio.timeout(self._total.total_seconds()):
                return await self._read(request)
        except AnswerRefused as error:
            call.fail_ambiguously(f"gave an answer that cannot be read: {error}")
        except httpx.RequestError as error:
            if never_sent(error):
                call.fail(SourceUnreachable, f"{NOT_REACHED}: {explain(error)}")
            call.fail_ambiguously(f"broke off: {explain(error)}")
        except TimeoutError:
            call.fail_ambiguously(f"took longer than {self._total.total_seconds():g} s")

    async def _read(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        response = await self._client.send(request, stream=True)
        try:
            body = await read_answer(response, LARGEST_ANSWER)
        finally:
            await response.aclose()
        return response.status_code, response.headers, body


class _Call:
    """One call, and the classification of its response."""

    def __init__(
        self, account: str, secrets: Sequence[str], method: str, path: str, *, effect: bool
    ) -> None:
        self.account = account
        self.secrets = secrets
        self.method = method
        self.path = path
        self.effect = effect

    def read(
        self, status: int, headers: Mapping[str, str], body: bytes, pause: timedelta | None
    ) -> Any:
        """The JSON of a successful response; raises the matching SourceError otherwise."""
        if status == httpx.codes.TOO_MANY_REQUESTS:
            self.fail(SourceThrottled, f"{SLOW_DOWN} (429)", pause or _MINUTE, status)
        if status == httpx.codes.SERVICE_UNAVAILABLE and pause is not None and not self.effect:
            self.fail(SourceThrottled, f"{SLOW_DOWN} (503)", pause, status)
        said = _explanation(headers, body, self.secrets)
        if status == httpx.codes.FORBIDDEN and _has(headers, "html"):
            # That of a firewall: the system has not seen the call, nor refused the credentials.
            self._fail_by_page(SourceUnreachable if self.effect else SourceBroken, status)
        if status in (401, 403):
            self.fail(SourceUnauthorized, f"{CREDENTIALS_REFUSED} ({status}){said}", status=status)
        if httpx.codes.is_client_error(status):
            self._reject(status, headers, said)
        if httpx.codes.is_redirect(status):
            what = f"answered {status}; redirects are not followed, see base_url"
            self.fail_ambiguously(what, status=status)
        if not httpx.codes.is_success(status):
            self.fail_ambiguously(f"failed ({status}){said}", pause, status)
        answer = self._decode(headers, body) if body.strip() else None
        if self.effect and is_denied(answer):
            self._deny(status, said)
        return answer

    def fail(
        self,
        error: type[SourceError],
        what: str,
        pause: timedelta | None = None,
        status: int | None = None,
    ) -> NoReturn:
        said = f"{self.account}: {self.method} {self.path} {what}"
        raise error(said, retry_after=pause, status=status)

    def fail_ambiguously(
        self, what: str, pause: timedelta | None = None, status: int | None = None
    ) -> NoReturn:
        self.fail(OutcomeUnknown if self.effect else SourceBroken, what, pause, status)

    def _reject(self, status: int, headers: Mapping[str, str], said: str) -> NoReturn:
        # A page instead of an answer comes from a proxy or a wrong base_url: nothing was done,
        # but it says nothing about the task either, least of all that it is gone.
        if _has(headers, "html") and not self.effect:
            self._fail_by_page(SourceBroken, status)
        raise SourceRejected(
            f"{self.account}: {self.method} {self.path} {REJECTED}{status}){said}",
            status=status,
            answer=said.removeprefix(": "),
        )

    def _fail_by_page(self, error: type[SourceError], status: int) -> NoReturn:
        self.fail(error, f"answered with a web page instead of data ({status}); {CHECK_ADDRESS}")

    def _deny(self, status: int, said: str) -> NoReturn:
        raise SourceRejected(
            f"{self.account}: {self.method} {self.path} was refused by the system ({status}){said}",
            status=status,
            answer=said.removeprefix(": "),
        )

    def _decode(self, headers: Mapping[str, str], body: bytes) -> Any:
        if not _has(headers, "json"):
            self.fail_ambiguously(f"answered with something other than JSON; {CHECK_ADDRESS}")
        try:
            return salvaged(body)
        except orjson.JSONDecodeError:
            self.fail_ambiguously("sent JSON that is cut off or broken")
        except TooManyValues as error:
            self.fail_ambiguously(f"sent too much JSON: {error}")


def _forms(headers: Mapping[str, str], secret: str) -> list[str]:
    """All forms of our credentials that no text may repeat; the longest first."""
    sent = [value for name, value in headers.items() if name.lower() not in _NO_CREDENTIALS]
    words = [word for value in sent for word in value.split()[1:]]
    base64 = b64encode(secret.encode()).decode()
    plain = {*sent, *words, secret, base64} - {""}
    return sorted({*plain, *(quote(one, safe="") for one in plain)}, key=len, reverse=True)


def _has(headers: Mapping[str, str], kind: str) -> bool:
    return kind in headers.get("content-type", "").lower()


def _explanation(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> str:
    """The error text of a response, on one line, without our secrets or anything similar."""
    text = _message(headers, body) if len(body) <= LONGEST_EXPLANATION else ""
    for secret in secrets:
        text = text.replace(secret, "…")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    text = _LIKE_A_SECRET.sub("…", _LONG_WORD.sub(lambda word: _unless_of(secrets, word[0]), text))
    return f": {text[:LONGEST_EXCERPT]}" if text else ""


def _unless_of(secrets: Sequence[str], word: str) -> str:
    """A word, unless it is a part of a secret: truncated, or with other capitals."""
    plain = word.casefold().strip(".…*")
    is_part = any(plain in secret.casefold() for secret in secrets)
    return "…" if plain and is_part else word


def _message(headers: Mapping[str, str], body: bytes) -> str:
    if _has(headers, "html"):
        return ""
    if not _has(headers, "json"):
        return _MARKUP.sub(" ", body.decode(errors="replace"))
    try:
        answer = salvaged(body)
    except orjson.JSONDecodeError:
        return ""
    if isinstance(answer, dict):
        return "; ".join(words(answer[name]) for name in _EXPLAINING if answer.get(name))
    return answer if isinstance(answer, str) else ""
