"""/api/v1 over a real socket: shapes, pages, filters, decisions, and who may ask."""

import asyncio
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.model import Kind, State, Task
from service.domain.operators.holds import Hold
from service.domain.operators.silences import Silence
from service.outbox import holds, silences
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from service.store.decisions import keep_rules
from service.store.views import api_lists, listing
from service.web.api import LARGEST_PAGE
from tests.harness.history import know, know_of_none, opted_out, plan, record
from tests.harness.site import Answer, Site, site
from tests.harness.tasks import task

EVENT = {"id", "account", "task", "kind", "at", "cause", "before", "after"}
DECISION = {"id", "event", "rule", "rules_version", "outcome", "reason"}
DELIVERY = {
    *("id", "account", "task", "event", "rule", "channel", "target", "state", "reason"),
    *("attempts", "text", "created_at", "next_attempt_at", "settled_at"),
}


async def get(web: Site, path: str, **parameters: Any) -> Any:
    answer = await web.client.get(f"/api/v1{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(web: Site, status: int, path: str, **parameters: Any) -> Any:
    """The problem document that answers a request."""
    return problem(await web.client.get(f"/api/v1{path}", params=parameters), status)


def problem(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


async def test_a_task_has_the_fields_of_the_rule_language(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Every field is there, times in UTC with a Z; a deleted task is shown when asked for."""
    await know(pool, task("T1", due=clock.now()), task("T2", done=True), at=clock.now())
    await know(pool, task("T3"), gone=True, at=clock.now())
    await know_of_none(pool, ("london", "T4"), clock.now())
    page = await get(web, "/tasks")
    assert [one["id"] for one in page["data"]] == ["T1", "T2"]
    assert set(page["data"][0]) == {one.name for one in fields(Task)}
    assert page["data"][0]["due"] == "2026-03-06T12:00:00Z"
    for state, wanted in (("open", "T1"), ("done", "T2"), ("deleted", "T3")):
        assert [one["id"] for one in (await get(web, "/tasks", state=state))["data"]] == [wanted]
    assert (await get(web, "/tasks/T3"))["title"] == "Smith gutters"
    await refused(web, 404, "/tasks/T4")


async def test_a_page_of_long_texts_is_shorter(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """It has no more rows than a few megabytes hold, one at least; none is left out or repeated."""
    sizes = {f"T{n:03}": 30_000 for n in range(100)} | {"T050": LARGEST_PAGE + 1}
    tasks = [task(one, description="x" * size) for one, size in sizes.items()]
    await know(pool, *tasks, at=clock.now())
    found, lengths, after = list[str](), list[int](), dict[str, str]()
    while True:
        page = await get(web, "/tasks", limit=500, **after)
        found += [one["id"] for one in page["data"]]
        lengths.append(len(orjson.dumps(page)))
        if page["next"] is None:
            break
        after = {"cursor": page["next"]}
    assert found == list(sizes)
    assert len(lengths) == 3
    assert max(lengths) < LARGEST_PAGE + 40_000


async def test_a_task_id_that_two_accounts_have(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """The caller is asked for the account, by name; ids may hold slashes."""
    await know(pool, task("/api/1"), task("/api/1", account="field"), task("T1"), at=clock.now())
    assert "field, london" in (await refused(web, 400, "/tasks//api/1"))["detail"]
    assert (await get(web, "/tasks//api/1", account="field"))["account"] == "field"
    await refused(web, 404, "/tasks/T9")


async def test_an_event_says_what_and_how_it_was_learnt(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """An event has exactly the promised fields, the newest first, with whole tasks."""
    first = await record(pool, task(), Kind.CREATED, at=clock.now())
    clock.advance(timedelta(hours=1))
    second = await record(pool, task(done=True), Kind.COMPLETED, at=clock.now())
    page = await get(web, "/events")
    assert [one["id"] for one in page["data"]] == [second.id, first.id]
    shown = await get(web, f"/events/{second.id}")
    assert set(shown) == EVENT
    assert (shown["kind"], shown["cause"], shown["before"]) == ("completed", "poll", None)
    assert shown["after"]["done"] is True
    since = await get(web, "/events", since="2026-03-06T13:00:00+00:00")
    assert [one["id"] for one in since["data"]] == [second.id]
    assert (await get(web, "/events", kind="created"))["data"][0]["id"] == first.id


async def test_pages_go_on_where_the_last_one_ended(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Following `next` shows every row once, also while new ones come in."""
    happened = [await record(pool, task(), Kind.CHANGED, at=clock.now()) for _ in range(5)]
    seen, cursor = [], None
    while True:
        asked = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await get(web, "/events", **asked)
        seen += [one["id"] for one in page["data"]]
        await record(pool, task(), Kind.CHANGED, at=clock.now())
        if (cursor := page["next"]) is None:
            break
    assert seen == [event.id for event in reversed(happened)]


@pytest.mark.parametrize(
    ("path", "cursor"),
    [
        ("/events", "nonsense"),
        ("/events", "WyJ4Il0"),
        ("/events", "Wzk5OTk5OTk5OTk5OTk5OTk5OTld"),
        ("/tasks", "WyJcdTAwMDAiLCJ4Il0"),
        ("/next", "nonsense"),
        ("/next", "WyJ4IiwwLDFd"),
        ("/search", "nonsense"),
    ],
)
async def test_a_cursor_that_no_page_gave_leads_nowhere(web: Site, path: str, cursor: str) -> None:
    """There is no such page, and the answer says how to begin again."""
    said = await refused(web, 404, path, cursor=cursor)
    assert "send the `next` of an earlier page as cursor" in said["detail"]


async def test_the_methods_of_an_address_are_named(web: Site) -> None:
    """Those of all its routes, if it is asked in another way."""
    for path, methods in (("silences", "GET, HEAD, POST"), ("tasks", "GET, HEAD")):
        answer = await web.client.delete(f"/api/v1/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)


async def test_a_page_ends_where_the_time_for_it_is_over(pool: Pool, clock: VirtualClock) -> None:
    """One deleted task among many changes: each page looks through a part, and none is left out."""
    await know(pool, task(), at=clock.now())
    old = await record(pool, task(), Kind.DELETED, at=clock.now())
    await pool.execute(
        """
        INSERT INTO events (id, account, task, kind, at, cause)
        SELECT nextval('event_ids'), 'london', 'T1', 'changed', $1, 'poll'
        FROM generate_series(1, 25000)
        """,
        clock.now(),
    )
    found, pages, mark = list[int](), 0, None
    while True:
        page = await listing.read_page(
            pool, api_lists.EVENTS, {"kind": "deleted"}, 50, mark, patience=0
        )
        found += [row["id"] for row in page.rows]
        pages, mark = pages + 1, page.next
        if mark is None:
            break
    assert (found, pages) == ([old.id], 3)
    rows = await listing.read_rows(pool, api_lists.EVENTS, {"kind": "deleted"}, 50)
    assert [row["id"] for row in rows] == [old.id]


async def test_a_list_of_one_task_has_all_of_it(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """With or without its account; pending messages and those that have ended; no other task's."""
    await know(pool, task(), task(account="field"), task("T2"), at=clock.now())
    made = [
        (task(), State.PLANNED),
        (task(account="field"), State.SENT),
        (task("T2"), State.SENT),
    ]
    for one, state in made:
        await plan(pool, await record(pool, one, Kind.CREATED, at=clock.now()), state)
    for named, wanted in (({}, 2), ({"account": "field"}, 1), ({"account": "sales"}, 0)):
        for name in ("events", "deliveries"):
            page = await get(web, f"/{name}", task="T1", **named)
            assert [one["task"] for one in page["data"]] == ["T1"] * wanted


async def test_pages_of_tasks_cross_accounts(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Tasks are ordered by account and id, and a page may end anywhere."""
    await know(pool, task("B"), task("A"), task("C", account="field"), at=clock.now())
    first = await get(web, "/tasks", limit=2)
    rest = await get(web, "/tasks", limit=2, cursor=first["next"])
    found = [(one["account"], one["id"]) for one in first["data"] + rest["data"]]
    assert found == [("field", "C"), ("london", "A"), ("london", "B")]
    assert rest["next"] is None


async def test_decisions_and_deliveries_say_why(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """From a delivery one finds its event and its decision; each has the promised fields."""
    event = await record(pool, task(done=True), Kind.COMPLETED, at=clock.now())
    await pool.execute(
        """
        INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)
        VALUES ($1, 'job-done', 'abc', 'matched', 'it is a job', $2)
        """,
        event.id,
        clock.now(),
    )
    number = await plan(pool, event)
    [delivery] = (await get(web, "/deliveries", state="planned", channel="slack"))["data"]
    assert set(delivery) == DELIVERY
    assert (delivery["id"], delivery["event"]) == (number, event.id)
    [decision] = (await get(web, "/decisions", kind="completed", task="T1", rule="job-done"))[
        "data"
    ]
    assert set(decision) == DECISION
    assert await get(web, f"/decisions/{decision['id']}") == decision
    assert (await get(web, "/deliveries", kind="created"))["data"] == []


async def test_receipts_that_were_set_aside_are_found(web: Site, pool: Pool) -> None:
    """A body that no task could be read from shows with its reason, and without its content."""
    await web.post("open", b'{"password_salt": "fake-salt"}')
    await pool.execute("UPDATE receipts SET state = 'poison', reason = 'there is no id'")
    [receipt] = (await get(web, "/receipts", state="poison"))["data"]
    assert receipt["reason"] == "there is no id"
    assert "fake-salt" not in str(receipt)
    assert (await get(web, "/receipts", state="pending"))["data"] == []


async def test_accounts_say_how_they_are_and_no_secret(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """Ok, failing, paused or at the first sync; tokens and secrets are nowhere."""
    await pool.execute("UPDATE accounts SET baseline_at = $1", clock.now())
    await pool.execute(
        "UPDATE accounts SET failing_since = $1, error = 'no answer' WHERE name = 'london'",
        clock.now(),
    )
    await pool.execute("UPDATE accounts SET paused = true WHERE name = 'field'")
    page = await get(web, "/accounts")
    states = {one["id"]: one["state"] for one in page["data"]}
    assert states == {"field": "paused", "london": "failing", "open": "ok"}
    assert (await get(web, "/accounts/london"))["error"] == "no answer"
    assert "t0ken" not in str(page)
    await refused(web, 404, "/accounts/nobody")


async def test_rules_are_shown_as_written(web: Site) -> None:
    """A rule has the words of the configuration."""
    assert (await get(web, "/rules"))["data"] == [await get(web, "/rules/job-done")]
    assert (await get(web, "/rules/job-done"))["when"] == "task.completed"
    await refused(web, 404, "/rules/none")


async def test_a_rule_is_switched_and_says_so(web: Site, pool: Pool) -> None:
    """The answer is the rule as it is now; `follow` lets it follow the configuration again."""
    assert (await get(web, "/rules/job-done"))["mode"] == "on"
    path = "/api/v1/rules/job-done"
    answer = await web.client.post(f"{path}/trial", json={"reason": "a typo"})
    switched = answer.json()
    assert (switched["id"], switched["mode"]) == ("job-done", "trial")
    assert switched["override"]["by"] == "someone on this machine"
    assert switched["override"]["reason"] == "a typo"
    assert (await get(web, "/rules"))["data"] == [switched]
    freed = (await web.client.post(f"{path}/follow")).json()
    assert (freed["mode"], freed["override"]) == ("on", None)
    again = await web.client.post(f"{path}/follow")
    assert again.status_code == 409
    for body in ({"reason": 5}, {"reason": "a\nb"}, "reason"):
        assert (await web.client.post(f"{path}/off", json=body)).status_code == 400
    for missing in ("none/off", "none/follow", "job-done/loud"):
        assert (await web.client.post(f"/api/v1/rules/{missing}")).status_code == 404
    assert await pool.fetchval("SELECT count(*) FROM rule_overrides") == 2


async def test_rules_as_they_were(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """A decision names the version of its rules; their text is kept with it."""
    text = '{"rules": [{"id": "job-done", "when": "task.created"}, {"id": "gone"}]}'
    await keep_rules(pool, "v1", text, clock.now())
    assert [one["id"] for one in (await get(web, "/rules", version="v1"))["data"]] == [
        "job-done",
        "gone",
    ]
    assert (await get(web, "/rules/job-done", version="v1"))["when"] == "task.created"
    assert [one["id"] for one in (await get(web, "/rules", version="v1", rule="gone"))["data"]] == [
        "gone"
    ]
    for version in ("v2", "\0"):
        await refused(web, 404, "/rules", version=version)


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        ("/tasks", "state", "lost"),
        ("/tasks", "kind", "created"),
        ("/events", "kind", "task.created"),
        ("/events", "since", "yesterday"),
        ("/events", "since", "2026-03-06T12:00:00"),
        ("/events", "since", "0001-01-01T00:00:00+14:00"),
        ("/events", "limit", "0"),
        ("/events", "limit", "501"),
        ("/events", "limit", "\u0661"),
        ("/events", "task", "T\x00"),
        ("/decisions", "state", "matched"),
        ("/deliveries", "state", "lost"),
        ("/receipts", "state", "lost"),
        ("/deliveries", "colour", "red"),
    ],
)
async def test_a_wrong_parameter_is_named(web: Site, path: str, parameter: str, value: str) -> None:
    """What cannot be filtered by is refused, with the parameter and what it takes."""
    said = await refused(web, 400, path, **{parameter: value})
    assert said["parameter"] == parameter
    assert "expected" in said["detail"]


@pytest.mark.parametrize("path", ["/events/0", "/events/99999999999999999999", "/events/x", "/x"])
async def test_what_is_not_there_is_a_404(web: Site, path: str) -> None:
    """Numbers that nothing has, and numbers that nothing could have."""
    await refused(web, 404, path)


async def test_a_person_decides(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Cancel, retry and resolve, as the state allows; what is not possible is a 409."""
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    other = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    waiting, lost = await plan(pool, event), await plan(pool, other, State.UNKNOWN)
    post = web.client.post
    cancelled = await post(f"/api/v1/deliveries/{waiting}/cancel", json={"reason": "too loud"})
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["reason"] == "cancelled by someone on this machine: too loud"
    assert "cancelled" in problem(await post(f"/api/v1/deliveries/{waiting}/cancel"), 409)["detail"]
    retried = await post(f"/api/v1/deliveries/{waiting}/retry")
    assert retried.json()["state"] == "planned"
    assert problem(await post(f"/api/v1/deliveries/{lost}/resolve"), 400)["parameter"] == "arrived"
    found = {"arrived": True, "reason": "she called"}
    resolved = (await post(f"/api/v1/deliveries/{lost}/resolve", json=found)).json()
    says = "someone on this machine found that it arrived: she called"
    assert (resolved["state"], resolved["reason"]) == ("sent", says)
    problem(await post("/api/v1/deliveries/999/retry"), 404)
    problem(await post(f"/api/v1/deliveries/{lost}/retry", content=b"[1]"), 400)
    problem(await post(f"/api/v1/deliveries/{lost}/retry", content=b" " * 20_000), 413)
    problem(await web.client.get(f"/api/v1/deliveries/{lost}/retry"), 405)


async def test_the_description_is_true(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """What OpenAPI says of each list is what the list shows: its fields and its filters."""
    await know(pool, task("1"), at=clock.now())
    event = await record(pool, task("1"), Kind.COMPLETED, at=clock.now())
    await plan(pool, event)
    await web.post("open", b"{}")
    await pool.execute(
        "INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)"
        " VALUES ($1, 'r', 'v', 'matched', '', now())",
        event.id,
    )
    now = clock.now()
    await silences.add(pool, Silence(0, now, now, "moving", rule="r"), by=Actor("Ann"))
    await pool.execute(
        "INSERT INTO storms (account, reason, began_at) VALUES ('open', 'many', now())"
    )
    await holds.begin(pool, Hold(0, now, now, "moving", "Ann"), by=Actor("Ann"))
    await opted_out(pool, now)
    described = await get(web, "/openapi.json")
    schemas = described["components"]["schemas"]
    pages = {
        path: item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        for path, item in described["paths"].items()
        if "{" not in path and "get" in item and path != "/api/v1/explain"
    }
    assert len(pages) == 14
    for path, page in pages.items():
        operation = described["paths"][path]["get"]
        noun = page["properties"]["data"]["items"]["$ref"].rpartition("/")[2]
        row = (await get(web, path.removeprefix("/api/v1")))["data"][0]
        assert set(schemas[noun]["properties"]) <= set(row)
        assert noun == "rule" or set(schemas[noun]["required"]) == set(row)
        for parameter in operation["parameters"]:
            if "enum" in parameter["schema"]:
                value = parameter["schema"]["enum"][0]
                await get(web, path.removeprefix("/api/v1"), **{parameter["name"]: value})


async def test_without_a_token_only_this_machine_may_ask(web: Site) -> None:
    """A page elsewhere whose name leads to 127.0.0.1 is refused, and so are its forms."""
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", ""):
        answer = await web.client.get("/api/v1/events", headers={"host": host})
        problem(answer, 403)
    for host in ("localhost", "127.0.0.1:1234", "[::1]:80"):
        assert (await web.client.get("/api/v1/events", headers={"host": host})).is_success
    forged = {"origin": "https://evil.example"}
    problem(await web.client.post("/api/v1/deliveries/1/retry", headers=forged), 403)
    elsewhere = {"x-forwarded-for": "192.0.2.1"}
    problem(await web.client.get("/api/v1/events", headers=elsewhere), 403)


REFUSED = [
    (b"GET /api/v1/events HTTP/1.1\r\n\r\n", "no Host header"),
    (b"GET /api/v1/events HTTP/1.1\r\nHost:\r\n\r\n", "no Host header"),
    (b"GET /api/v1/events HTTP/1.1\r\nHost: evil.example\r\n\r\n", "names another machine"),
    (b"GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n", "HTTP/1.0"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Real-IP: 127.0.0.1\r\n\r\n", "header x-real-ip"),
    (b"POST /hooks/open HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "no Host header"),
]


@pytest.mark.parametrize(("request_", "why"), REFUSED)
async def test_who_is_taken_for_a_stranger_is_told_why(
    web: Site, request_: bytes, why: str
) -> None:
    """A client without a Host header, or a proxy, is no page elsewhere: 403 in its own words."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(request_)
    answer = await Answer.read(reader)
    writer.close()
    assert answer.status == 403
    assert why in orjson.loads(answer.body)["detail"]


async def test_with_a_token_everybody_needs_it(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """Reading and deciding want the bearer token; the door and the probes do not."""
    async with site(tmp_path, pool, clock, valkey.url, token="s3cret-of-the-page") as web:
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": "Basic s3cret-of-the-page"},
        ):
            answer = await web.client.get("/api/v1/events", headers=headers)
            assert answer.headers["www-authenticate"] == "Bearer"
            problem(answer, 401)
        right = {"authorization": "Bearer s3cret-of-the-page", "host": "tasks.example"}
        assert (await web.client.get("/api/v1/events", headers=right)).is_success
        problem(await web.client.post("/api/v1/deliveries/1/retry"), 401)
        problem(await web.client.get("/metrics"), 401)
        for path in ("/healthz", "/readyz"):
            assert (await web.client.get(path)).is_success
        assert (await web.post("open", b"{}")).status_code == 202


async def test_silences_are_listed_and_ended(web: Site, pool: Pool, clock: VirtualClock) -> None:
    """Ending one twice is a conflict; one that never was is too."""
    now = clock.now()
    silence = Silence(0, now, now + timedelta(hours=2), "moving", rule="r")
    number = await silences.add(pool, silence, by=Actor("Ann"))
    [listed] = (await web.client.get("/api/v1/silences?rule=r")).json()["data"]
    assert (listed["id"], listed["reason"], listed["customer"]) == (number, "moving", None)
    clock.advance(timedelta(hours=1))
    ended = await web.client.post(f"/api/v1/silences/{number}/expire")
    assert datetime.fromisoformat(ended.json()["ends_at"]) == clock.now()
    for missing in (number, 4711, 2**70):
        again = await web.client.post(f"/api/v1/silences/{missing}/expire")
        assert again.status_code in {404, 409}
