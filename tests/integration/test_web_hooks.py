"""The door, asked over real sockets: what it takes, what it refuses, and what it promises."""

import asyncio
import gzip
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from standardwebhooks import Webhook

from service.clock import VirtualClock
from service.http.json_body import decoded
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from service.store import Pool
from service.web.webhooks import BODY_BYTES
from tests.conftest import closed_to_all
from tests.harness.site import HEX_SECRET, STANDARD_SECRET, Site, configured, serving

BODY = b'{"id": "T1"}'


def problem(answer: httpx.Response, status: int) -> str:
    """The detail of a problem document with this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    return str(document["detail"])


def standard(message: str, clock: VirtualClock, body: bytes = BODY) -> dict[str, str]:
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(clock.now().timestamp())),
        "webhook-signature": Webhook(STANDARD_SECRET).sign(message, clock.now(), body.decode()),
    }


async def test_a_202_means_that_the_body_is_in_the_database(web: Site, pool: Pool) -> None:
    """The sender gets the receipt's number after the commit, and the body is kept byte by byte."""
    answer = await web.post("open", b'  {"id":\t"T1"}\n', {"user-agent": "Zapier"})
    assert answer.status_code == 202
    kept = await pool.fetchrow("SELECT * FROM receipts WHERE id = $1", answer.json()["receipt"])
    assert kept is not None
    assert (kept["account"], kept["body"], kept["state"]) == (
        "open",
        b'  {"id":\t"T1"}\n',
        "pending",
    )
    assert orjson.loads(kept["headers"])["user-agent"] == "Zapier"


async def test_no_proof_is_stored(web: Site, pool: Pool) -> None:
    """Signatures, tokens and cookies of a request stay out of the table."""
    signature = hmac.digest(HEX_SECRET.encode(), BODY, sha256).hex()
    headers = {"x-signature": signature, "authorization": "Bearer b", "cookie": "c=d"}
    assert (await web.post("london", BODY, headers)).status_code == 202
    stored = orjson.loads(await pool.fetchval("SELECT headers FROM receipts"))
    assert set(stored) == {"content-type", "user-agent"}


async def test_wrong_signatures_are_refused(web: Site, pool: Pool) -> None:
    """Missing, wrong, malformed or not even ASCII: 401, and nothing is kept."""
    for signature in ("00" * 32, "zz", "v1,", "sha256=x"):
        problem(await web.post("london", BODY, {"x-signature": signature}), 401)
    assert "x-signature is missing" in problem(await web.post("london", BODY), 401)
    by_hand = (
        b"POST /hooks/london HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nX-Signature: \xff\xc3\x28\r\n"
        b"Content-Length: 12\r\n\r\n" + BODY
    )
    assert (await web.speak(by_hand)).startswith(b"HTTP/1.1 401")
    assert await pool.fetchval("SELECT count(*) FROM receipts") == 0


async def test_a_named_webhook_is_kept_once(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """A retry with the same webhook-id gets the same receipt, even after it was dealt with."""
    first = await web.post("field", BODY, standard("msg_1", clock))
    again = await web.post("field", BODY, standard("msg_1", clock))
    await pool.execute("UPDATE receipts SET state = 'done'")
    late = await web.post("field", BODY, standard("msg_1", clock))
    other = await web.post("field", BODY, standard("msg_2", clock))
    assert first.json() == again.json() == late.json() != other.json()
    states = await pool.fetch("SELECT state FROM receipts ORDER BY id")
    assert [row["state"] for row in states] == ["done", "pending"]


async def test_a_replayed_webhook_is_refused(web: Site, clock: VirtualClock) -> None:
    """The same signed request, caught and sent again an hour later, is too old."""
    headers = standard("msg_1", clock)
    assert (await web.post("field", BODY, headers)).status_code == 202
    clock.set(clock.now().replace(hour=13))
    assert "five minutes" in problem(await web.post("field", BODY, headers), 401)


async def test_a_message_id_of_any_length_is_taken(web: Site, clock: VirtualClock) -> None:
    """An id of 10 000 characters names its webhook as well as a short one."""
    headers = standard("m" * 10_000, clock)
    first, again = [await web.post("field", BODY, headers) for _ in range(2)]
    assert first.status_code == 202
    assert first.json() == again.json()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty document"),
        (b"{", "line 1 column"),
        (b'{"id": "T1', "end of data"),
        (b"<html>", "not JSON"),
        (b'{"id": "\x00"}', "control character"),
        (b'{"id": "\xff"}', "UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "depth"),
        (b'{"n": 1e999}', "infinity"),
        (b'{"n": NaN}', "unexpected character"),
    ],
)
async def test_what_is_not_json_is_refused(web: Site, body: bytes, said: str) -> None:
    """Each fault is named in words, with its place, and none is our failure."""
    assert said in problem(await web.post("open", body), 400)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "\\u0000"}',
        b'{"id": "\\ud83d"}',
        b'\xef\xbb\xbf{"id": "T1"}',
        b'{"n": ' + b"9" * 300 + b"}",
        b"[" * 1000 + b"]" * 1000,
        b'{"id": "' + b"i" * 10_000 + b'"}',
        b"null",
        b'"text"',
    ],
)
async def test_json_that_is_no_task_is_kept(web: Site, pool: Pool, body: bytes) -> None:
    """What is JSON is taken as it is; whether a task can be read from it is not the door's."""
    assert (await web.post("open", body)).status_code == 202
    assert await pool.fetchval("SELECT body FROM receipts") == body


async def test_a_body_may_have_a_mebibyte(web: Site) -> None:
    """The largest body is taken, one byte more is 413."""
    assert (await web.post("open", b"1" * 300 + b" " * (BODY_BYTES - 300))).status_code == 202
    problem(await web.post("open", b"1" * 300 + b" " * (BODY_BYTES - 299)), 413)


async def test_a_chunked_body_is_measured_as_it_comes(web: Site) -> None:
    """A body that does not say how long it is ends at the limit all the same."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // 65_536 + 1):
            yield b" " * 65_536

    answer = await web.client.post(
        "/hooks/open", content=endless(), headers={"content-type": "application/json"}
    )
    problem(answer, 413)


async def test_a_body_that_breaks_off_is_not_kept(web: Site, pool: Pool) -> None:
    """A sender that announces more than it sends has not delivered."""
    head = b"POST /hooks/open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    await web.speak(head + b"Content-Length: 100\r\n\r\n" + BODY)
    await web.speak(head + b"Transfer-Encoding: chunked\r\n\r\nc\r\n" + BODY)
    assert await pool.fetchval("SELECT count(*) FROM receipts") == 0
    assert (await web.post("open", BODY)).status_code == 202


async def test_other_types_and_encodings_are_refused(web: Site) -> None:
    """JSON in its variants is taken; forms, text, nothing said and compressed bodies are not."""
    for taken in ("application/json; charset=utf-8", "application/ld+json", "TEXT/JSON"):
        assert (await web.post("open", BODY, {"content-type": taken})).status_code == 202
    for refused in ("application/x-www-form-urlencoded", "text/plain", "json", ""):
        problem(await web.post("open", BODY, {"content-type": refused}), 415)
    problem(await web.post("open", BODY, {"content-encoding": "br"}), 415)


@pytest.mark.parametrize(
    "headers",
    [
        *({"content-encoding": name} for name in ("UTF-8", "identity", "", "iso-8859-1", "8bit")),
        {"content-type": "application/json charset=utf-8"},
        {"content-type": "application/json, application/json"},
        {"content-type": "application/json; charset=utf-8, application/json"},
    ],
)
async def test_what_senders_cannot_help_is_taken(web: Site, headers: dict[str, str]) -> None:
    """A character set in the wrong header, a type that a proxy wrote twice."""
    assert (await web.post("open", BODY, headers)).status_code == 202


async def test_a_slash_too_many_is_no_other_place(web: Site) -> None:
    """And no redirect."""
    assert (await web.post("open/", BODY)).status_code == 202


async def test_a_packed_body_is_kept_unpacked(web: Site, pool: Pool) -> None:
    """In one member or several; it is signed as it is sent."""
    body = gzip.compress(BODY[:4]) + gzip.compress(BODY[4:])
    signature = hmac.digest(HEX_SECRET.encode(), body, sha256).hex()
    headers = {"content-encoding": "gzip", "x-signature": signature}
    assert (await web.post("london", body, headers)).status_code == 202
    assert await pool.fetchval("SELECT body FROM receipts") == BODY


async def test_a_packed_body_is_bounded(web: Site) -> None:
    """A megabyte is a megabyte, and what is broken is no body."""
    headers = {"content-encoding": "gzip"}
    bomb = gzip.compress(b" " * (BODY_BYTES + 1))
    assert "unpacks to more than" in problem(await web.post("open", bomb, headers), 413)
    broken = gzip.compress(BODY)[:-9]
    assert "gzip is broken" in problem(await web.post("open", broken, headers), 400)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(BODY, mtime=0), {}),
        (BODY, {"content-encoding": "gzip"}),
        (gzip.compress(BODY, mtime=0), {"content-encoding": "gzip, gzip"}),
        (gzip.compress(BODY, mtime=0), {"content-encoding": "utf-8, gzip"}),
    ],
)
async def test_whether_a_body_is_packed_is_seen_by_itself(
    web: Site, pool: Pool, body: bytes, headers: dict[str, str]
) -> None:
    """A proxy unpacks and does not say so, or a sender packs and does not."""
    assert (await web.post("open", body, headers)).status_code == 202
    assert await pool.fetchval("SELECT body FROM receipts") == BODY


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "iso-8859-1", "utf-8-sig"])
async def test_other_character_sets_are_read_and_kept_in_utf8(
    web: Site, pool: Pool, charset: str
) -> None:
    """By their mark or by what the header says; and no secret hides behind one."""
    text = '{"id": "T1", "name": "Müller", "employees": [{"id": 1, "password_salt": "pepper"}]}'
    kind = {"content-type": f'application/json; Charset="{charset}"'}
    assert (await web.post("open", text.encode(charset), kind)).status_code == 202
    kept = (await pool.fetchval("SELECT body FROM receipts")).removeprefix(b"\xef\xbb\xbf")
    assert orjson.loads(kept) == {"id": "T1", "name": "Müller", "employees": [{"id": 1}]}


@pytest.mark.parametrize("charset", ["punycode", "idna", "hex", "rot13", "zlib", "nonsense"])
async def test_what_is_no_encoding_of_texts_is_not_decoded(web: Site, charset: str) -> None:
    """It is read as UTF-8: 64 kB of punycode take a second, in which nobody else is answered."""
    body = '{"id": "T-1", "name": "Müller"}'.encode()
    kind = {"content-type": f"application/json; charset={charset}"}
    assert (await web.post("open", body, kind)).status_code == 202


async def test_a_line_break_in_a_text_is_one(web: Site, pool: Pool) -> None:
    """Who fills in a template of JSON does not think of it."""
    body = b'{"id": "T1", "name": "Mend\nthe\tfence"}'
    assert (await web.post("open", body)).status_code == 202
    assert decoded(await pool.fetchval("SELECT body FROM receipts"))["name"] == "Mend\nthe\tfence"


async def test_wrong_addresses_and_methods_are_problems_too(web: Site) -> None:
    """404 and 405 are as well-formed as any other answer, and nothing is a redirect."""
    problem(await web.post("nobody", BODY), 404)
    for path in ("/hooks", "/hooks/", "/hooks/open/x"):
        answer = await web.client.post(path, content=BODY)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    answer = await web.client.get("/hooks/open")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_lost_database_is_said_and_outlived(
    web: Site, pool: Pool, postgres: EmbeddedPostgres
) -> None:
    """While the database refuses, the answer is 503 with Retry-After; then all is as before."""
    async with closed_to_all(postgres, await pool.fetchval("SELECT current_database()")):
        answer = await web.post("open", BODY)
        assert "database" in problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    assert (await web.post("open", BODY)).status_code == 202


async def test_many_at_once_each_get_their_own(web: Site, pool: Pool) -> None:
    """Senders that arrive together share a commit, and each is given its own receipt."""
    bodies = [b'{"id": "T%d"}' % number for number in range(100)]
    answers = await asyncio.gather(*(web.post("open", body) for body in bodies))
    for body, answer in zip(bodies, answers, strict=True):
        number = answer.json()["receipt"]
        assert await pool.fetchval("SELECT body FROM receipts WHERE id = $1", number) == body


async def test_an_account_that_asks_for_no_webhooks_takes_none(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """The answer says what to write into the configuration; nothing is kept."""
    config = configured(tmp_path)
    closed = config.accounts["london"].model_copy(update={"webhook": None})
    config = replace(config, accounts={**config.accounts, "london": closed})
    async with serving(config, pool, clock, valkey.url) as web:
        assert "Add webhook:" in problem(await web.post("london", BODY), 404)
        assert (await web.post("open", BODY)).status_code == 202
    assert await pool.fetchval("SELECT count(*) FROM receipts") == 1


FROM_ELSEWHERE = [
    {"host": "tasks.example.com"},
    {"host": "127.0.0.1.example.com"},
    {"x-forwarded-for": "127.0.0.1"},
    {"forwarded": "for=127.0.0.1"},
    {"via": "1.1 proxy"},
    {"x-real-ip": "127.0.0.1"},
    {"x-forwarded-proto": "https"},
    {"cf-connecting-ip": "203.0.113.9"},
]


@pytest.mark.parametrize("headers", FROM_ELSEWHERE)
async def test_what_nobody_verifies_comes_from_this_machine(
    headers: dict[str, str], web: Site
) -> None:
    """Behind a proxy, or under another name, it may have come from anywhere."""
    assert "from this machine only" in problem(await web.post("open", BODY, headers), 403)
    # A page in a browser here, and a program that speaks HTTP as proxies do.
    old = await web.speak(
        b"POST /hooks/open HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 12\r\n\r\n" + BODY
    )
    assert b" 403 " in old.splitlines()[0]


async def test_what_nobody_verifies_comes_from_anywhere_if_somebody_says_so(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """`TASKBELL_OPEN_DOOR=1` is the operator's word."""
    config = configured(tmp_path)
    async with serving(config, pool, clock, valkey.url, TASKBELL_OPEN_DOOR="1") as web:
        for headers in FROM_ELSEWHERE:
            assert (await web.post("open", BODY, headers)).status_code == 202
        problem(await web.post("london", BODY), 401)


HEAD = b"POST /hooks/open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LARGE = 8 * BODY_BYTES


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, dict[str, Any]]:
    """The head of an answer and the document it is followed by."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length"))
    document = orjson.loads(await reader.readexactly(int(length.partition(b":")[2])))
    return head, document


async def test_a_body_that_is_announced_as_too_large_is_not_asked_for(web: Site) -> None:
    """The sender that asks first is told 413 in place of 100, and need not send anything."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % LARGE)
    head, document = await read_answer(reader)
    assert head.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    assert document["detail"] == f"The body is larger than {BODY_BYTES} bytes"
    writer.close()


async def test_who_sends_it_all_the_same_can_read_the_answer(web: Site) -> None:
    """The connection is not reset while the sender writes: it reads the answer, then the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % LARGE)
    await asyncio.wait_for(reader.readuntil(b"HTTP/1.1 413"), 5)
    writer.write(b" " * LARGE)
    await writer.drain()
    _, document = await read_answer(reader)
    assert document["status"] == 413
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"NONSENSE\r\n\r\n",
        b"GET /\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/3.7\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        HEAD + b"Content-Length: many\r\n\r\n",
        HEAD + b"X: folded\r\n  twice\r\n\r\n",
        HEAD + b"X: \0\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ],
    ids=repr,
)
async def test_what_is_not_http_is_told_so_as_a_problem(web: Site, request_: bytes) -> None:
    """As well-formed as any other answer; then the connection ends, and others go on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(request_)
    head, document = await read_answer(reader)
    assert head.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in head
    assert document["title"] == "Bad Request"
    assert "not a well-formed HTTP/1.1 request" in document["detail"]
    assert await reader.read() == b""
    writer.close()
    assert (await web.post("open", BODY)).status_code == 202


async def test_bodies_that_do_not_end_have_only_so_much_room(web: Site) -> None:
    """Senders hold back their last byte: one too many is told to come again, and not stored up."""
    connections = [await asyncio.open_connection("127.0.0.1", web.port) for _ in range(66)]
    for _, writer in connections:
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % BODY_BYTES + b" " * (BODY_BYTES - 1))
    answers = [asyncio.create_task(read_answer(reader)) for reader, _ in connections]
    first, _ = await asyncio.wait(answers, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    head, document = first.pop().result()
    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: " in head.lower()
    assert "at once" in document["detail"]
    for _, writer in connections:
        writer.close()
    await asyncio.gather(*answers, return_exceptions=True)
    assert (await web.post("open", b"1" * 300 + b" " * (BODY_BYTES - 300))).status_code == 202
