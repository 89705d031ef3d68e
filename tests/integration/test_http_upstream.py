"""An account's way to its system: what each answer means for whoever called."""

import asyncio
import gzip
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from service.clock import VirtualClock
from service.errors import (
    OutcomeUnknown,
    SourceBroken,
    SourceError,
    SourceRejected,
    SourceThrottled,
    SourceUnauthorized,
    SourceUnreachable,
)
from service.http.client import open_client
from service.http.rate_limit_headers import Allowance
from service.http.upstream import SystemClient
from service.store import Pool
from service.store.rate_limits import AccountThrottle
from tests.harness.receivers import LOOPBACK, Answer, Fault, HttpReceiver, Receiver
from tests.harness.stalls import LONGEST, watched

SECRET = "tok-5fd1c9e7"
MIB = 1024 * 1024
JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html; charset=utf-8"}


class Rig:
    """An upstream, the server it calls, and the seconds that its limit made it wait."""

    def __init__(self, server: HttpReceiver, upstream: SystemClient, waited: list[float]) -> None:
        self.server = server
        self.upstream = upstream
        self.waited = waited

    async def error(self, answer: Answer, *, effect: bool = False) -> SourceError:
        """What a call raises when the server says this."""
        times = 2 if answer.fault and not effect else 1  # a GET that is lost goes out again
        self.server.reply(*[answer] * times)
        with pytest.raises(SourceError) as caught:
            await self.upstream.request("POST" if effect else "GET", "/tasks", effect=effect)
        return caught.value


@pytest.fixture
async def rig(pool: Pool, clock: VirtualClock) -> AsyncIterator[Rig]:
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    async with HttpReceiver() as server, open_client(LOOPBACK, timeout=0.3) as client:
        upstream = SystemClient(
            "field",
            client,
            server.url,
            clock,
            headers={"Authorization": f"Bearer {SECRET}"},
            secret=SECRET,
            throttle=AccountThrottle(pool, "field", clock, 60, burst=20),
            total=timedelta(seconds=1),
            sleep=note,
        )
        yield Rig(server, upstream, waited)


async def test_a_good_answer_is_its_json(rig: Rig) -> None:
    """The call carries credentials, query and body; the answer comes back decoded."""
    rig.server.reply(Answer(body={"id": 7}))
    answer = await rig.upstream.request("PUT", "/tasks", params={"page": 2}, json={"a": 1})
    assert answer == {"id": 7}
    (request,) = rig.server.requests
    assert (request.method, request.path, request.query) == ("PUT", "/tasks", {"page": "2"})
    assert request.json == {"a": 1}
    assert request.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (rb'{"title": "Thanks \ud83d"}', "Thanks \ufffd"),
        (rb'{"title": "\ude00 \uD83D\uDE00 \\ud83d"}', "\ufffd \U0001f600 \\ud83d"),
        (b'\xef\xbb\xbf{"title": "Call"}', "Call"),
    ],
)
async def test_json_that_strict_readers_refuse_is_read(rig: Rig, body: bytes, title: str) -> None:
    """Half an emoji at a cut-off end, a byte order mark: the rest of the list counts."""
    rig.server.reply(Answer(body=body, headers={"content-type": "Application/JSON"}))
    assert await rig.upstream.request("GET", "/tasks") == {"title": title}


async def test_an_answer_without_a_body_is_none(rig: Rig) -> None:
    """Whoever says 204, or nothing with a 200, said yes."""
    rig.server.reply(Answer(204), Answer(200, b" ", HTML))
    assert await rig.upstream.request("POST", "/notify", effect=True) is None
    assert await rig.upstream.request("POST", "/notify", effect=True) is None


@pytest.mark.parametrize(
    ("answer", "reading", "writing"),
    [
        (Answer(401, b"<errors/>"), SourceUnauthorized, SourceUnauthorized),
        (Answer(403, {}), SourceUnauthorized, SourceUnauthorized),
        (Answer(403, b"<h1>Blocked</h1>", HTML), SourceBroken, SourceUnreachable),
        (Answer(401, b"<h1>Sign in</h1>", HTML), SourceUnauthorized, SourceUnauthorized),
        (Answer(400, {}), SourceRejected, SourceRejected),
        (Answer(404, {}), SourceRejected, SourceRejected),
        (Answer(422, {}), SourceRejected, SourceRejected),
        (Answer(429, {}), SourceThrottled, SourceThrottled),
        (Answer(503, {}, {"retry-after": "7"}), SourceThrottled, OutcomeUnknown),
        (Answer(503, {}), SourceBroken, OutcomeUnknown),
        (Answer(500, {}), SourceBroken, OutcomeUnknown),
        (Answer(302, b"", {"location": "/x"}), SourceBroken, OutcomeUnknown),
        (Answer(404, b"<h1>?</h1>", HTML), SourceBroken, SourceRejected),
        (Answer(200, b"<h1>Hello</h1>", HTML), SourceBroken, OutcomeUnknown),
        (Answer(200, b'{"id": 7}'), SourceBroken, OutcomeUnknown),
        (
            Answer(200, b'{"id": ', {"content-type": "application/json"}),
            SourceBroken,
            OutcomeUnknown,
        ),
        (Answer(fault=Fault.RESET_BEFORE), SourceBroken, OutcomeUnknown),
        (Answer(fault=Fault.RESET_AFTER), SourceBroken, OutcomeUnknown),
        (Answer(fault=Fault.HALF, body={"id": 7}), SourceBroken, OutcomeUnknown),
        (Answer(delay=5), SourceBroken, OutcomeUnknown),
    ],
)
@pytest.mark.parametrize("effect", [False, True])
async def test_each_failure_says_whether_the_call_was_carried_out(
    rig: Rig,
    answer: Answer,
    reading: type[SourceError],
    writing: type[SourceError],
    *,
    effect: bool,
) -> None:
    """A call that changes the world and leaves open whether it did is unknown, never "failed"."""
    error = await rig.error(answer, effect=effect)
    assert type(error) is (writing if effect else reading)


async def test_a_call_with_an_effect_is_made_once(rig: Rig) -> None:
    """A reset in the middle of a notification sends nothing again."""
    await rig.error(Answer(fault=Fault.RESET_AFTER), effect=True)
    assert len(rig.server.requests) == 1


async def test_nothing_sent_is_unreachable_even_for_an_effect(rig: Rig) -> None:
    """A port where nobody listens leaves no doubt: it can be tried again."""
    await rig.server.stop()
    error = await rig.error(Answer(), effect=True)
    assert type(error) is SourceUnreachable
    assert "field: POST /tasks could not be reached" in str(error)


async def test_an_answer_that_trickles_is_given_up(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then keeps a socket alive, but not the call."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.1)
        finally:
            writer.close()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(rig.upstream, "_base_url", f"http://127.0.0.1:{port}")
        with pytest.raises(SourceBroken, match="took longer than 1 s"):
            await rig.upstream.request("GET", "/tasks")


async def test_a_pause_asked_for_is_told_and_kept(rig: Rig) -> None:
    """After a 429 the next call is not made before the pause is over."""
    error = await rig.error(Answer(429, {}, {"retry-after": "30"}))
    assert error.retry_after == timedelta(seconds=30)
    with pytest.raises(SourceUnreachable) as caught:
        await rig.upstream.request("GET", "/tasks")
    assert timedelta(seconds=29) < (caught.value.retry_after or timedelta(0))
    assert len(rig.server.requests) == 1


async def test_a_system_that_keeps_failing_is_left_alone(rig: Rig) -> None:
    """After five failures in a row no call goes out, and says why; a rejection is no failure."""
    for answer in (*[Answer(500, {})] * 4, Answer(404, {}), *[Answer(500, {})] * 5):
        await rig.error(answer)
    why = r"was skipped for now, because .*: GET /tasks failed \(500\)$"
    with pytest.raises(SourceUnreachable, match=why):
        await rig.upstream.request("GET", "/tasks")
    assert len(rig.server.requests) == 10


async def test_calls_keep_to_the_limit(rig: Rig) -> None:
    """Twenty go out at once, the next waits a second."""
    rig.server.reply(*[Answer(body={})] * 21)
    for _ in range(21):
        await rig.upstream.request("GET", "/tasks")
    assert rig.waited[:20] == [0.0] * 20
    assert rig.waited[20] == 1.0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "The name is required."}, "The name is required."),
        ({"errors": ["job can't be blank"]}, ": job can't be blank"),
        ({"errors": {"base": ["No mobile number"]}}, ": base: No mobile number"),
        (b"Invalid job.", "Invalid job."),
        (b"<errors><error>Wrong account</error></errors>", "Wrong account"),
        ("Nothing here", "Nothing here"),
    ],
)
async def test_a_rejection_says_why(rig: Rig, body: Any, said: str) -> None:
    """Account, call, status and the system's own words, as far as they are words."""
    error = await rig.error(Answer(422, body))
    assert "field: GET /tasks was rejected (422)" in str(error)
    assert said in str(error)
    assert isinstance(error, SourceRejected)
    assert error.status == 422


@pytest.mark.parametrize("status", [200, 400, 401, 404, 422, 429, 500, 503])
async def test_no_answer_brings_a_secret_into_an_error(rig: Rig, status: int) -> None:
    """Neither our token nor anything like one in the answer shows in the text."""
    body: dict[str, Any] = {
        "message": f"bad token {SECRET}; eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx {'k' * 40}",
        "password_salt": "salt-and-pepper",
        "request": {"authorization": SECRET},
    }
    kind = {} if status != 200 else {"content-type": "text/plain"}
    text = str(await rig.error(Answer(status, body, kind)))
    for secret in (SECRET, "salt-and-pepper", "eyJ", "kkk"):
        assert secret not in text
    assert "\n" not in text


@pytest.mark.parametrize("part", [SECRET.upper(), SECRET[:-2], f"{SECRET[:9]}****", SECRET[3:]])
async def test_no_part_of_a_secret_is_told(rig: Rig, part: str) -> None:
    """Some systems say in capitals what they were given, or cut it short."""
    error = await rig.error(Answer(422, {"message": f"the key ({part}) is unknown; ask Ida"}))
    assert str(error).endswith(": the key (…) is unknown; ask Ida")


class Echo(Receiver):
    """Something that is no web server, and says again what it was told."""

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._echo, "127.0.0.1", 0)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readuntil(b"\r\n\r\n"))
        await writer.drain()
        writer.close()


async def test_what_is_not_http_may_repeat_the_request(pool: Pool, clock: VirtualClock) -> None:
    """Nothing of it is in the error: there are the credentials in it."""
    async with Echo() as echo, open_client(LOOPBACK, timeout=1) as client:
        headers = {"X-Key": SECRET, "Authorization": f"Bearer {SECRET}"}
        upstream = SystemClient(
            "field",
            client,
            f"http://127.0.0.1:{echo.port}",
            clock,
            headers=headers,
            secret=SECRET,
            throttle=AccountThrottle(pool, "field", clock, 60),
        )
        with pytest.raises(SourceBroken) as caught:
            await upstream.request("GET", "/tasks")
    assert str(caught.value) == "field: GET /tasks broke off: the answer is not HTTP"


@pytest.mark.parametrize("form", ["{}:{}", "{}"])
async def test_no_form_of_the_credentials_is_told(
    rig: Rig, pool: Pool, clock: VirtualClock, form: str
) -> None:
    """Short ones, too, and in base64."""
    sent = b64encode(form.format("t/k", "t/k").encode()).decode()
    async with open_client(LOOPBACK) as client:
        upstream = SystemClient(
            "field",
            client,
            rig.server.url,
            clock,
            headers={"Authorization": f"Basic {sent}", "Accept": "application/json"},
            secret="t/k",
            throttle=AccountThrottle(pool, "field", clock, 60),
        )
        rig.server.reply(Answer(422, {"message": f"Basic {sent} is bad, and so are t/k and t%2Fk"}))
        with pytest.raises(SourceRejected) as caught:
            await upstream.request("GET", "/tasks")
    assert sent not in str(caught.value)
    assert "t/k" not in str(caught.value)
    assert "t%2Fk" not in str(caught.value)


async def test_a_huge_answer_is_not_swallowed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that never stops sending does not fill the memory."""
    monkeypatch.setattr("service.http.upstream.LARGEST_ANSWER", 1000)
    error = await rig.error(Answer(200, b"x" * 5000, JSON))
    assert "more than 1000 bytes" in str(error)


async def test_an_answer_unfolds_within_limits(rig: Rig) -> None:
    """A hundred kilobytes are as many megabytes: no more than may come is unpacked of them."""
    bomb = gzip.compress(b" " * 100 * MIB, 1)
    async with watched() as stalls:
        error = await rig.error(Answer(200, bomb, JSON | {"content-encoding": "gzip"}))
    assert "unpacks to more than" in str(error)
    assert stalls.longest < 4 * LONGEST


async def test_of_a_bomb_no_more_is_unpacked_than_may_come(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not unpacked first, and found to be too large then."""
    monkeypatch.setattr("service.http.upstream.LARGEST_ANSWER", MIB)
    bomb = gzip.compress(b" " * 100 * MIB, 9)
    tracemalloc.start()
    error = await rig.error(Answer(200, bomb, JSON | {"content-encoding": "gzip"}))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "unpacks to more than" in str(error)
    assert most < 16 * MIB


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip, deflate", "br", "zstd", "deflate"])
async def test_an_answer_is_packed_once(rig: Rig, encoding: str) -> None:
    """What is packed twice, or as nobody asked for, is not unpacked."""
    body = gzip.compress(gzip.compress(b'{"id": 7}'))
    error = await rig.error(Answer(200, body, JSON | {"content-encoding": encoding}))
    assert "broken" in str(error) or "compressed, but not with gzip" in str(error)


async def test_a_large_answer_is_read_beside_the_loop(rig: Rig) -> None:
    """A list of all tasks at once is no reason to keep other accounts waiting."""
    lines = [{"n": number} for number in range(60)]
    tasks = [{"id": number, "notes": "x" * 900, "lines": lines} for number in range(6000)]
    rig.server.reply(Answer(200, orjson.dumps(tasks), JSON))
    async with watched() as stalls:
        assert await rig.upstream.request("GET", "/tasks") == tasks
    assert stalls.longest < LONGEST


@pytest.mark.parametrize("size", [0, 2 * MIB])
async def test_a_large_answer_says_what_a_small_one_says(rig: Rig, size: int) -> None:
    """Whole numbers of 64 bits, characters, halves of them, and what is no number at all."""
    said = (
        rb'{"id": 1234567890123456789, "big": 99999999999999999999, "at": 1.5e3, "no": NaN,'
        rb' "far": -1e999, "icon": "\ud83d\ude00 \ud83d", "in": [["\ud83d"], {"\udE00": "'
        b'\xc3\xbc\xff"}]}'
    )
    rig.server.reply(Answer(200, said + b" " * size, JSON))
    assert await rig.upstream.request("GET", "/tasks/1") == {
        "id": 1234567890123456789,
        "big": 1e20,
        "at": 1500.0,
        "no": None,
        "far": None,
        "icon": "\U0001f600 \ufffd",
        "in": [["\ufffd"], {"\ufffd": "ü\ufffd"}],
    }


@pytest.mark.parametrize("said", [b'[{"id": 1}, {"id"', b"[" * 2000, b'[{"id": 1} {"id": 2}]'])
async def test_a_large_answer_that_is_broken_is_none(rig: Rig, said: bytes) -> None:
    """What is cut off, nested beyond measure or no JSON is the system's trouble."""
    error = await rig.error(Answer(200, b" " * 2 * MIB + said, JSON))
    assert "cut off or broken" in str(error)


async def test_an_answer_holds_only_so_many_values(rig: Rig) -> None:
    """Of a list of nothing but `{}` no object is made."""
    body = b"[" + b"{}," * (2 * MIB) + b"{}]"
    tracemalloc.start()
    error = await rig.error(Answer(200, body, JSON))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "sent too much JSON: it holds more than 3000000 values" in str(error)
    assert most < 8 * len(body), "objects would take thirty times as much"


async def test_a_number_beyond_all_measure_keeps_no_other_row_from_being_read(rig: Rig) -> None:
    """It is none; of the others nothing is lost."""
    body = b'[{"id": 1, "n": 1e999}, {"id": 2, "n": -%b}, {"id": 3}]' % (b"9" * 5000)
    rig.server.reply(Answer(body=body, headers=JSON))
    assert await rig.upstream.request("GET", "/tasks") == [
        {"id": 1, "n": None},
        {"id": 2, "n": None},
        {"id": 3},
    ]


async def test_the_last_call_allowed_is_followed_by_a_pause(rig: Rig) -> None:
    """The system says that none is left for half a minute: the next call waits for so long."""
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}
    rig.server.reply(Answer(body={}, headers=spent), *[Answer(body={})] * 2)
    for _ in range(3):
        await rig.upstream.request("GET", "/tasks")
    assert rig.waited == [0.0, 31.0, 32.0]
    assert rig.upstream.allowance == Allowance(0, timedelta(seconds=30))


async def test_a_refusal_may_tell_by_its_limits_when_to_come_again(rig: Rig) -> None:
    """No call is left for a quarter of an hour: none is made, though there is no Retry-After."""
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "900"}
    assert (await rig.error(Answer(429, headers=spent))).retry_after == timedelta(minutes=15)
    with pytest.raises(SourceUnreachable, match="was skipped for now"):
        await rig.upstream.request("GET", "/tasks")
    assert len(rig.server.requests) == 1


async def test_calls_that_are_there_again_by_now_are_not_waited_for(rig: Rig) -> None:
    """None is left, for no time at all: the next call goes out."""
    spent = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}
    rig.server.reply(*[Answer(body={}, headers=spent)] * 3)
    for _ in range(3):
        await rig.upstream.request("GET", "/tasks")
    assert rig.waited == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"success": False, "error": "No mobile number"}, "No mobile number"),
        ({"success": "false", "message": "Not today"}, "Not today"),
        ({"errors": ["Number is invalid"]}, "Number is invalid"),
        ({"id": 7, "errors": {"name": ["can't be blank"]}}, "name: can't be blank"),
        ({"status": "error", "message": "Over the limit"}, "Over the limit"),
        ({"data": {"sent": 0}, "detail": "Nobody"}, "Nobody"),
        ({"ok": False}, "was refused by the system (200)"),
    ],
)
async def test_a_yes_that_means_no_is_a_rejection(rig: Rig, body: Any, said: str) -> None:
    """What was to be done was not, whatever the status: that is known, and final."""
    error = await rig.error(Answer(200, body), effect=True)
    assert isinstance(error, SourceRejected)
    assert said in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"success": True, "errors": []},
        {"id": 7, "status": "failed", "errors": {"base": []}},
        {"error": None, "sent": 1},
        {"task": {"id": 7, "status": "error"}},
    ],
)
async def test_a_yes_is_a_yes(rig: Rig, body: Any) -> None:
    """A task whose own status is "failed" was written all the same; no errors are none."""
    rig.server.reply(Answer(200, body))
    assert await rig.upstream.request("POST", "/tasks", effect=True) == body


async def test_one_damaged_text_keeps_no_other_from_being_read(rig: Rig) -> None:
    """Cut within a character, with a line break as it is, a number that is none."""
    body = b'[{"id": 1, "name": "M\xc3"}, {"id": 2, "name": "a\nb", "n": NaN}, {"id": 3}]'
    rig.server.reply(Answer(body=body, headers={"content-type": "application/json"}))
    assert await rig.upstream.request("GET", "/tasks") == [
        {"id": 1, "name": "M\ufffd"},
        {"id": 2, "name": "a\nb", "n": None},
        {"id": 3},
    ]
