"""OpenAPI against the real site: every operation, its answers, and what it says it refuses."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Kind, State
from service.domain.operators.holds import Hold
from service.domain.operators.silences import Silence
from service.outbox import holds, silences
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.history import know, opted_out, plan, record
from tests.harness.json_schema import faults
from tests.harness.site import Site, site
from tests.harness.tasks import START, task

Json = Mapping[str, Any]

# By the parameter's name and the path that it is in: what a row is found by.
IDS = {"tasks": "T1", "accounts": "london", "rules": "job-done"}
# What the operations need to be told, each its own part.
SAID = {"arrived": True, "mode": "off", "until": (START + timedelta(hours=9)).isoformat()}
BAD_NUMBERS = ("x", "-1", "0x1", "1.0", "1e3", "", "9" * 19, "9" * 20, "9" * 5000, "%00", "\u0661")
BAD_NAMES = ("nobody", "%00", "x" * 3000, "..%2f..", "%ff", "a%0Ab", "\u202e")


@pytest.fixture
async def seeded(web: Site, pool: Pool, clock: VirtualClock) -> Site:
    """A site with something in every list, and more than a page of some."""
    now = clock.now()
    await know(pool, task("T1", due=now), task("T2", done=True), at=now)
    for state in State:
        event = await record(pool, task("T1"), Kind.COMPLETED, at=now)
        await plan(pool, event, state)
    await pool.execute(
        "INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)"
        " VALUES ($1, 'job-done', 'v', 'matched', '', now())",
        event.id,
    )
    later = now + timedelta(hours=1)
    await silences.add(pool, Silence(0, now, later, "moving", rule="job-done"), by=Actor("Ann"))
    await holds.begin(pool, Hold(0, now, later, "moving", "Ann"), by=Actor("Ann"))
    await pool.execute("INSERT INTO storms (account, reason, began_at) VALUES ('open', 'x', now())")
    await opted_out(pool, now)
    for body in (b"{}", b"[]"):
        await web.post("open", body)
    await pool.execute("UPDATE receipts SET state = 'poison', reason = 'x' WHERE id = 1")
    await pool.execute("UPDATE accounts SET paused = true WHERE name = 'field'")
    return web


WANTED = {
    "/api/v1/deliveries/bulk": {"action": "dismiss", "state": "failed", "channel": "slack"},
    "/api/v1/contacts/opt-in": {"address": "ida@smith.test"},
    "/api/v1/contacts/opt-out": {"address": "bo@smith.test"},
    "/api/v1/acknowledgements": {"task": "T1", "account": "london"},
    "/api/v1/assignments": {"task": "T1", "account": "london", "assignee": "Bo Reed"},
    "/api/v1/completions": {"task": "T1", "account": "london"},
    "/api/v1/holds": {
        "ends_at": (START + timedelta(hours=9)).isoformat(),
        "reason": "moving",
    },
    "/api/v1/silences": {
        "rule": "job-done",
        "ends_at": (START + timedelta(hours=9)).isoformat(),
        "reason": "moving",
    },
}


QUERIES = {"/api/v1/explain": {"task": "T1"}}


async def described(web: Site) -> Any:
    return (await web.client.get("/api/v1/openapi.json")).json()


def operations(document: Json) -> Iterator[tuple[str, str, Json, list[Json]]]:
    """Path, method, operation, and all its parameters."""
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            operation = item[method]
            yield (
                path,
                method,
                operation,
                [
                    *item.get("parameters", ()),
                    *operation.get("parameters", ()),
                ],
            )


def filled(path: str, value: str | None = None) -> str:
    noun = path.split("/")[3]
    return path.replace("{id}", IDS.get(noun, "1") if value is None else value)


def check(document: Json, operation: Json, answer: httpx.Response) -> int:
    """The status, which has to be described, as has the shape of what comes with it."""
    status = answer.status_code
    assert str(status) in operation["responses"], (answer.request.url, status, answer.text)
    [(kind, media)] = operation["responses"][str(status)]["content"].items()
    assert answer.headers["content-type"] == kind
    found = list(faults(answer.json(), media["schema"], document))
    assert not found, (answer.request.url, found)
    return status


async def test_every_answer_is_as_described(seeded: Site) -> None:
    """Each operation on what is there: 200 or 201, or 409 where it is too late, as described."""
    document, seen = await described(seeded), 0
    for path, method, operation, _ in operations(document):
        answer = await seeded.client.request(
            method, filled(path), params=QUERIES.get(path), json=WANTED.get(path, SAID)
        )
        assert check(document, operation, answer) in {200, 201, 409}, (path, answer.text)
        seen += 1
    assert seen > 25


def unfit(schema: Json) -> Iterator[str]:
    """Texts that a parameter's schema does not allow."""
    if schema["type"] == "integer":
        yield from ("0", "-1", "501", "x", "", "1.5", "9" * 5000, "\u0661")
    elif "enum" in schema:
        yield from ("nonsense", "", "\0")
    elif schema.get("format") == "date-time":
        yield from ("yesterday", "", "2026-03-06", "9999-99-99T00:00:00Z", "\0")
    else:
        yield from ("\0", "a\nb", "\x9b", "x" * (schema["maxLength"] + 1))
        if "+" in schema["pattern"]:
            yield from ("", "!", "bm90IGEgbWFyaw")


async def test_parameters_are_refused_as_described(seeded: Site) -> None:
    """Each with values that its schema does not allow, and with one that nobody knows: 400."""
    document = await described(seeded)
    for path, method, operation, parameters in operations(document):
        queries = [one for one in parameters if one["in"] == "query"]
        for one in queries:
            for value in unfit(one["schema"]):
                answer = await seeded.client.request(
                    method, filled(path), params={one["name"]: value}
                )
                assert check(document, operation, answer) in {400, 404}, (answer.url, answer.text)
        if method == "GET" and path.count("/") == 3:
            answer = await seeded.client.get(path, params={"nobody": "x"})
            assert check(document, operation, answer) == 400


async def test_what_is_not_there_is_answered_as_described(seeded: Site) -> None:
    """Ids that are none, too long, or of another alphabet: 404 or 409, and nothing of ours."""
    document = await described(seeded)
    for path, method, operation, parameters in operations(document):
        [schema] = [one["schema"] for one in parameters if one["in"] == "path"] or [None]
        if schema is None:
            continue
        for value in BAD_NUMBERS if schema["type"] == "integer" else BAD_NAMES:
            answer = await seeded.client.request(method, filled(path, value), json=SAID)
            if answer.status_code != 405:  # the list's own path, or none at all
                assert answer.status_code in {200, 404, 409} or value == "", answer.text
            assert answer.status_code < 500
            if value:
                check(document, operation, answer)


BODIES: list[tuple[str, Any, int]] = [
    ("cancel", {"reason": "x" * 501}, 400),
    ("cancel", {"reason": "a\nb"}, 400),
    ("cancel", {"reason": "\x1b[2J"}, 400),
    ("cancel", {"reason": 5}, 400),
    ("cancel", {"reason": None}, 200),
    ("cancel", {"reason": "x" * 500}, 200),
    ("cancel", {"reason": "\u00e4 \u200b\u202e\U0001f514"}, 200),
    ("resolve", {}, 400),
    ("resolve", {"arrived": "yes"}, 400),
    ("resolve", {"arrived": None}, 400),
    ("resolve", {"arrived": 1}, 400),
    ("resolve", [], 400),
    ("retry", 5, 400),
    ("snooze", {}, 400),
    ("snooze", {"until": None}, 400),
    ("snooze", {"until": "2026-03-06T21:00:00Z"}, 200),
]


@pytest.mark.parametrize(("action", "body", "status"), BODIES)
async def test_bodies_are_taken_and_refused_as_described(
    seeded: Site, pool: Pool, action: str, body: Any, status: int
) -> None:
    """What the schema allows is taken; what it does not allow is a 400 and changes nothing."""
    state = {"resolve": "unknown", "snooze": "sent"}.get(action, "planned")
    number = await pool.fetchval("SELECT id FROM deliveries WHERE state = $1", state)
    document = await described(seeded)
    operation = document["paths"][f"/api/v1/deliveries/{{id}}/{action}"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert (list(faults(body, schema, document)) == []) == (status == 200)
    answer = await seeded.client.post(f"/api/v1/deliveries/{number}/{action}", json=body)
    assert check(document, operation, answer) == status
    if status == 400:
        kept = await pool.fetchval("SELECT state FROM deliveries WHERE id = $1", number)
        assert kept == state


@pytest.fixture
async def guarded(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    async with site(tmp_path, pool, clock, valkey.url, token="s3cret-of-the-page") as running:
        yield running


async def test_the_token_is_described_where_it_is_needed(web: Site, guarded: Site) -> None:
    """By whom it is asked for; and what is answered without it."""
    assert "security" not in await described(web)
    right = {"authorization": "Bearer s3cret-of-the-page"}
    document = (await guarded.client.get("/api/v1/openapi.json", headers=right)).json()
    assert document["security"] == [{"token": []}]
    for path, method, operation, _ in operations(document):
        answer = await guarded.client.request(method, filled(path))
        assert check(document, operation, answer) == 401
    wrong = {"authorization": "Bearer wrong"}
    for path, _, operation, _ in list(operations(document)) * 2:
        answer = await guarded.client.get(filled(path), headers=wrong)
        assert answer.status_code == 405 or check(document, operation, answer) in {401, 429}
