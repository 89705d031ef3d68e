"""What operators do by the API: accounts, holds of customer messages, and reading webhooks."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.clock import VirtualClock
from service.domain.model import Kind, State
from service.processes.embedded import EmbeddedValkey
from service.store import Pool, accounts
from tests.harness.history import plan, record
from tests.harness.people import sign_in, users
from tests.harness.site import Site, configured, serving
from tests.harness.tasks import START, task

TOKEN = "s3cret-of-the-page"
LATER = (START + timedelta(hours=3)).isoformat()
ACTING = ("accounts/london/pause", "accounts/london/resume", "accounts/london/sync", "holds")
READING = ("next", "explain?task=T1", "search?q=x", "holds", "receipts", "receipts/1")


@pytest.fixture
async def firm(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """A site with people, and the admin token."""
    async with serving(configured(tmp_path, users()), pool, clock, valkey.url, TOKEN) as running:
        yield running


async def post(web: Site, path: str, status: int = 200, **body: Any) -> Any:
    answer = await web.client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def get(web: Site, path: str, status: int = 200) -> Any:
    answer = await web.client.get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_an_account_is_paused_resumed_and_read(web: Site) -> None:
    """Each answers the account as it is then, and is in the history of changes."""
    assert (await post(web, "accounts/london/pause"))["state"] == "paused"
    said = await post(web, "accounts/london/sync", 409)
    assert "paused" in said["detail"]
    assert (await post(web, "accounts/london/resume"))["state"] == "baseline"
    assert (await post(web, "accounts/london/sync"))["id"] == "london"
    actions = [one["action"] for one in (await get(web, "audit"))["data"]]
    assert actions == ["account.synced", "account.resumed", "account.paused"]


async def test_missing_tasks_are_believed_to_be_deleted(web: Site, pool: Pool) -> None:
    """Only if the sync says so, which is in the history; what is neither true nor false is not."""
    believed = "SELECT believed FROM accounts WHERE name = 'london'"
    for said, is_believed in (({}, False), ({"believe": False}, False), ({"believe": True}, True)):
        await post(web, "accounts/london/sync", **said)
        assert await pool.fetchval(believed) is is_believed
    await post(web, "accounts/london/sync", 400, believe="yes")
    details = [one["detail"] for one in (await get(web, "audit"))["data"]]
    assert details == ["missing tasks count as deleted", "", ""]


async def test_an_unknown_account_is_refused_with_a_suggestion(web: Site, pool: Pool) -> None:
    """Also one of the database that is no longer configured; nothing is changed."""
    await accounts.register(pool, {"gone": "plannr"}, START)
    assert "did you mean london" in (await post(web, "accounts/lodnon/pause", 404))["detail"]
    assert "known here" in (await post(web, "accounts/gone/pause", 404))["detail"]
    assert await pool.fetchval("SELECT count(*) FROM accounts WHERE paused") == 0


async def test_customer_messages_are_held_and_released(
    web: Site, pool: Pool, clock: VirtualClock
) -> None:
    """A hold begins with who holds it; a release ends it, and can be done once."""
    hold = await post(web, "holds", 201, ends_at=LATER, reason="moving house")
    assert (hold["ends_at"], hold["reason"]) == ("2026-03-06T15:00:00Z", "moving house")
    event = await record(pool, task(), Kind.COMPLETED, at=clock.now())
    number = await plan(pool, event, State.HELD)
    await pool.execute("UPDATE deliveries SET hold = $1 WHERE id = $2", hold["id"], number)
    [listed] = (await get(web, "holds"))["data"]
    assert (listed["held"], listed["ended_by"]) == (1, None)
    released = await post(web, f"holds/{hold['id']}/release")
    assert released["ended_by"] == hold["created_by"]
    assert released["ends_at"] == "2026-03-06T12:00:00Z"
    await post(web, f"holds/{hold['id']}/release", 409)
    await post(web, "holds/99/release", 409)
    assert (await get(web, "holds?since=2026-03-06T12:00:01Z"))["data"] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "ends_at: expected a time with its zone"),
        ({"ends_at": LATER}, "reason: expected"),
        ({"ends_at": LATER, "reason": " "}, "reason: expected"),
        ({"ends_at": LATER, "reason": "a\nb"}, "reason: expected"),
        ({"ends_at": "2026-03-06T15:00", "reason": "x"}, "ends_at: expected a time with its zone"),
        ({"ends_at": LATER, "reason": "x", "rule": "y"}, "known here: ends_at, reason"),
    ],
)
async def test_a_hold_that_is_not_well_formed_is_refused(
    web: Site, pool: Pool, body: dict[str, Any], said: str
) -> None:
    """It says which field is wrong, and holds nothing."""
    assert said in (await post(web, "holds", 400, **body))["detail"]
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0


async def test_a_hold_that_would_have_ended_already_is_refused(web: Site, pool: Pool) -> None:
    """It is well-formed, and comes too late."""
    said = await post(web, "holds", 409, ends_at="2026-03-06T11:00Z", reason="x")
    assert "ends_at: it has passed" in said["detail"]
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0


async def test_a_webhook_is_read_without_its_secrets(web: Site) -> None:
    """Its body is the JSON that came, except for what is secret in it; lists do not have it."""
    body = b"""{"event":"task.created","data":{"id":"T1","password_salt":"hunter2",
        "links":[{"Access-Token":"hunter2","api\\u005fkey":{"of":"hunter2"},"token":null}]}}"""
    answer = await web.post("open", body, {"webhook-id": "m1"})
    shown = await get(web, f"receipts/{answer.json()['receipt']}")
    assert "task.created" in shown["body"]
    assert "hunter2" not in shown["body"]
    assert shown["headers"]["webhook-id"] == "m1"
    [listed] = (await get(web, "receipts"))["data"]
    assert listed.items() <= shown.items()
    assert "body" not in listed
    await get(web, "receipts/99", 404)


async def test_secrets_are_hidden_however_deep_they_are(web: Site) -> None:
    """On the page and in the API; nothing fails, and what is stored is as it came."""
    for depth in (3, 90, 300, 900):
        nested = b'{"a":' * depth + b'{"token":"hunter2"}' + b"}" * depth
        answer = await web.post("open", b'{"id":"T1","data":%b}' % nested, {})
        if answer.status_code != httpx.codes.ACCEPTED:
            assert "levels deep" in answer.json()["detail"]
            continue
        number = answer.json()["receipt"]
        assert "hunter2" not in (await get(web, f"receipts/{number}"))["body"]
        page = await web.client.get(f"/webhooks/{number}", headers={"accept": "text/html"})
        assert page.status_code == httpx.codes.OK
        assert "hunter2" not in page.text


async def test_a_viewer_reads_and_cannot_act(firm: Site, pool: Pool) -> None:
    """Their role is named; nothing has changed."""
    await sign_in(firm, "Bo")
    for path in READING:
        assert (await firm.client.get(f"/api/v1/{path}")).status_code in {200, 404}, path
    for path in ACTING:
        said = await post(firm, path, 403, ends_at=LATER, reason="moving")
        assert "your role is viewer" in said["detail"]
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
    assert await pool.fetchval("SELECT count(*) FROM accounts WHERE paused") == 0


async def test_a_stranger_reads_nothing(firm: Site) -> None:
    """Neither reading nor acting is answered without a session or the token."""
    for path in READING:
        assert "data" not in await get(firm, path, 401)
    for path in ACTING:
        await post(firm, path, 401)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    answer = await firm.client.post("/api/v1/accounts/london/pause", headers=bearer)
    assert answer.json()["state"] == "paused"
