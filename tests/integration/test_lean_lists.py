"""A system whose lists show part of a task: what a poll makes of it, down to the events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from service.clock import VirtualClock
from service.config import load
from service.domain.model import Cause
from service.http.client import open_client
from service.sandbox.app import Sandbox, running
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.letsligo import LetsLigo
from service.store import Pool, accounts
from service.store.lookups import Lookup
from service.store.receipts import Receipt, ReceiptKeeper, body_key
from tests.harness.corridor import LINKS
from tests.harness.receivers import LOOPBACK
from tests.harness.waiting import PATIENCE
from workers import wiring
from workers.ingest import Ingest
from workers.lookup import Lookups
from workers.poll import LEASE, Poll

CONFIG = """\
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
  outreach: {{ system: letsligo, base_url: "{url}/letsligo", token: sandbox, full_scan: 1s,
               per_minute: 100000, timeout: 3s, per_page: 3 }}
"""
CONTACT = "/api/contacts/"


@dataclass(frozen=True, slots=True)
class Outreach:
    """One LetsLigo account that is polled when the test says so."""

    pool: Pool
    clock: VirtualClock
    system: LetsLigo
    poller: Poll
    lookups: Lookups
    ingest: Ingest

    async def poll(self) -> list[str]:
        """Poll, a minute later; what was asked of the system."""
        self.clock.advance(timedelta(minutes=1))
        self.system.record.requests.clear()
        await self.pool.execute("UPDATE accounts SET next_poll_at = $1", self.clock.now())
        [state] = await accounts.claim_due(self.pool, ["outreach"], self.clock.now(), LEASE)
        async for _ in self.poller.run(state):
            pass
        await accounts.release(self.pool, state)
        return list(self.system.record.requests)

    async def look_up(self) -> None:
        while (await self.lookups.batch())[0]:
            pass

    async def webhook(self, body: Any) -> None:
        """Somebody pushes that body, and it is read."""
        text = orjson.dumps(body)
        receipt = Receipt(("outreach", body_key(text)), text, {}, self.clock.now())
        await ReceiptKeeper(self.pool, lambda _: None).keep(receipt)
        while (await self.ingest.batch()).count:
            pass

    async def events(self) -> list[tuple[str, list[str]]]:
        """What happened, in order: the kind and the fields it covers."""
        rows = await self.pool.fetch("SELECT kind, changed FROM events ORDER BY id")
        return [(row["kind"], list(row["changed"])) for row in rows]

    async def snapshots(self) -> list[Any]:
        """How the tasks that are there are known to look."""
        rows = await self.pool.fetch("SELECT snapshot FROM tasks WHERE deleted_at IS NULL")
        return [orjson.loads(row["snapshot"]) for row in rows]

    async def error(self) -> str | None:
        found: str | None = await self.pool.fetchval("SELECT error FROM accounts")
        return found


@asynccontextmanager
async def connected(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Outreach]:
    sandbox = Sandbox(clock)
    async with running(sandbox) as url, open_client(LOOPBACK, timeout=PATIENCE) as client:
        file = folder / "taskbell.yaml"
        file.write_text(CONFIG.format(url=url), encoding="utf-8")
        config = load(file, {})
        parts = await wiring.assemble(config, client, pool, clock, LINKS)
        engine, source = parts.engine, parts.sources["outreach"]
        yield Outreach(
            pool,
            clock,
            sandbox.letsligo,
            Poll(pool, engine, source, clock),
            Lookups(pool, engine, source, clock),
            Ingest(pool, engine, source, clock),
        )


@pytest.fixture
async def outreach(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Outreach]:
    async with connected(pool, clock, folder) as ready:
        yield ready


async def test_the_baseline_is_whole_and_silent(outreach: Outreach) -> None:
    """Each task is known with all that its list leaves out, and nobody hears of it."""
    for _ in range(4):
        outreach.system.make()
    await outreach.poll()
    known = await outreach.snapshots()
    assert {task["description"] for task in known} == {"Relance après meeting salon"}
    assert {task["customer"]["name"] for task in known} == {"Marie Dubois"}
    assert await outreach.events() == []


async def test_an_unchanged_task_costs_no_call(outreach: Outreach) -> None:
    """After the first read only the list is asked for."""
    for _ in range(4):
        outreach.system.make()
    await outreach.poll()
    assert await outreach.poll() == ["GET /letsligo/api/contact_tasks"] * 2


async def test_what_came_by_another_road_costs_no_call_either(outreach: Outreach) -> None:
    """A poll finds what a hint led to, and what was pushed as a whole, as it knows it."""
    hinted = outreach.system.make()
    outreach.system.make(id="T-2", contact={"id": "C-2", "name": "Paul Petit"})
    whole = {name: value for name, value in outreach.system.tasks["T-2"].items() if name != "id"}
    await outreach.webhook({"@id": f"/api/contact_tasks/{hinted['id']}"})
    await outreach.look_up()
    contact = {"@id": "/api/contacts/C-2", **outreach.system.contacts["C-2"]}
    await outreach.webhook({**whole, "@id": "/api/contact_tasks/T-2", "contact": contact})
    assert len(await outreach.snapshots()) == 2
    assert await outreach.poll() == ["GET /letsligo/api/contact_tasks"]


async def test_a_change_is_one_event_and_clears_nothing(outreach: Outreach) -> None:
    """The list shows neither description nor kind, and no event says that they went."""
    task = outreach.system.make()
    await outreach.poll()
    outreach.system.change(task["id"], title="Rappeler")
    assert len(await outreach.poll()) == 2
    outreach.system.finish(task["id"])
    await outreach.poll()
    assert await outreach.events() == [("changed", ["title"]), ("completed", ["done"])]
    (known,) = await outreach.snapshots()
    assert known["completed_at"] is not None


async def test_the_payload_is_a_tasks_own_fields(outreach: Outreach) -> None:
    """What its wizards keep with a task; no list shows it, and it does not come and go."""
    payload: dict[str, Any] = {
        "step": {"id": 2, "done": False},
        "tags": ["a", {"b": 1}],
        "list": [{}],
        "none": None,
    }
    task = outreach.system.make(payload=payload)
    await outreach.poll()
    fields = {"task_kind": "manual", "step_id": 2, "step_done": False, "tags": ["a"]}
    assert [one["fields"] for one in await outreach.snapshots()] == [fields]
    assert await outreach.poll() == ["GET /letsligo/api/contact_tasks"]
    outreach.system.set_quirks(lean=False)
    assert await outreach.poll() == ["GET /letsligo/api/contact_tasks"]
    outreach.system.change(task["id"], title="Rappeler")
    await outreach.poll()
    outreach.system.change(task["id"], title="Encore", payload={"step": {"id": 3}})
    await outreach.poll()
    assert await outreach.events() == [("changed", ["title"]), ("changed", ["title", "fields"])]


async def test_a_payload_that_an_earlier_version_did_not_keep_is_no_news(
    outreach: Outreach,
) -> None:
    """No task is read anew for it; it comes with the next change, which alone is told."""
    task = outreach.system.make(payload={"step": 2})
    await outreach.poll()
    older = """UPDATE tasks SET snapshot = jsonb_set(jsonb_set(
        snapshot::jsonb, '{fields}', '{"task_kind": "manual"}'), '{revision}', '1')"""
    await outreach.pool.execute(older)
    assert await outreach.poll() == ["GET /letsligo/api/contact_tasks"]
    outreach.system.change(task["id"], title="Rappeler")
    await outreach.poll()
    assert [one["fields"]["step"] for one in await outreach.snapshots()] == [2]
    assert await outreach.events() == [("changed", ["title"])]


async def test_a_name_that_cannot_be_read_is_no_change(outreach: Outreach) -> None:
    """The customer stays who they are, while the task's own change is told."""
    task = outreach.system.make()
    await outreach.poll()
    outreach.clock.advance(timedelta(hours=2))
    outreach.poller._source._contacts._kept.clear()  # type: ignore[attr-defined]
    outreach.system.faults.set(Fault(FaultKind.FAILED, path=CONTACT))
    outreach.system.change(task["id"], title="Rappeler")
    await outreach.poll()
    assert await outreach.events() == [("changed", ["title"])]
    (known,) = await outreach.snapshots()
    assert known["customer"]["name"] == "Marie Dubois"


async def test_a_name_that_comes_late_is_no_change_either(outreach: Outreach) -> None:
    """What the baseline could not read is filled in by the next polls."""
    outreach.system.make()
    outreach.system.faults.set(Fault(FaultKind.FAILED, path=CONTACT))
    await outreach.poll()
    (known,) = await outreach.snapshots()
    assert known["customer"]["name"] is None
    outreach.clock.advance(timedelta(minutes=1))
    await outreach.poll()
    (known,) = await outreach.snapshots()
    assert known["customer"]["name"] == "Marie Dubois"
    assert await outreach.events() == []
    assert await outreach.poll() == ["GET /letsligo/api/contact_tasks"]


async def test_another_contact_is_a_change_though_the_name_is_unknown(outreach: Outreach) -> None:
    """A task that goes to somebody else must not keep the first one's address."""
    task = outreach.system.make()
    await outreach.poll()
    outreach.system.faults.set(Fault(FaultKind.FAILED, path=CONTACT))
    outreach.system.change(task["id"], contact={"name": "Paul Petit"})
    await outreach.poll()
    assert await outreach.events() == [("changed", ["customer"])]
    (known,) = await outreach.snapshots()
    assert known["customer"]["email"] is None


async def test_a_task_that_cannot_be_read_does_not_hide_the_others(outreach: Outreach) -> None:
    """It is asked for again by itself; what is behind it in the list is told now."""
    broken, behind = outreach.system.make(), outreach.system.make()
    await outreach.poll()
    for task in (broken, behind):
        outreach.system.finish(task["id"])
    outreach.system.faults.set(Fault(FaultKind.FAILED, path=broken["id"]))
    await outreach.poll()
    assert len(await outreach.events()) == 1
    await outreach.look_up()
    assert await outreach.events() == [("completed", ["done"])] * 2
    assert await outreach.error() is None


async def test_a_task_that_the_baseline_could_not_read_is_no_news(outreach: Outreach) -> None:
    """Until every task was read once, the baseline goes on, and says why."""
    broken = outreach.system.make()
    outreach.system.make()
    outreach.system.faults.set(Fault(FaultKind.FAILED, path=broken["id"]))
    await outreach.poll()
    assert "failed (500)" in (await outreach.error() or "")
    await outreach.look_up()
    await outreach.poll()
    assert len(await outreach.snapshots()) == 2
    assert await outreach.events() == []
    assert await outreach.error() is None


async def test_a_list_that_leads_elsewhere_is_read_to_its_end(outreach: Outreach) -> None:
    """Behind a proxy a system does not know its own address: what its links ask for counts."""
    for _ in range(7):
        outreach.system.make()
    await outreach.poll()
    outreach.system.set_quirks(foreign_next=True)
    assert await outreach.poll() == ["GET /letsligo/api/contact_tasks"] * 3
    await outreach.look_up()
    assert await outreach.error() is None
    assert len(await outreach.snapshots()) == 7


async def test_a_deletion_is_confirmed_by_id(outreach: Outreach) -> None:
    """What a complete list lacks and 404 confirms is deleted."""
    kept, deleted = outreach.system.make(), outreach.system.make()
    await outreach.poll()
    outreach.system.delete(deleted["id"])
    await outreach.poll()
    await outreach.look_up()
    assert await outreach.events() == [("deleted", [])]
    (known,) = await outreach.snapshots()
    assert known["id"] == kept["id"]


async def test_what_a_page_led_to_is_as_new_as_its_own_request(outreach: Outreach) -> None:
    """A look at the task that began after the list, and before it was read by id, is older."""
    task = outreach.system.make()
    await outreach.poll()
    outreach.system.change(task["id"], title="Rappeler")
    [page] = [page async for page in outreach.poller._source.scan()]
    outreach.clock.advance(timedelta(seconds=1))
    asked = Lookup("outreach", task["id"], Cause.FETCH, outreach.clock.now(), 1, [], uuid4())
    look = await outreach.lookups._read(asked)
    outreach.clock.advance(timedelta(seconds=1))
    outreach.system.finish(task["id"])
    await outreach.poller._take(page)
    await outreach.lookups._take(asked, look)
    (known,) = await outreach.snapshots()
    assert known["done"]


@pytest.mark.parametrize("kind", [FaultKind.NOT_FOUND, FaultKind.REJECTED])
async def test_a_first_list_of_which_no_task_can_be_read_is_no_baseline(
    outreach: Outreach, kind: FaultKind
) -> None:
    """The token may not see single tasks: the account says so, and afterwards they are no news."""
    for _ in range(4):
        outreach.system.make()
    outreach.system.faults.set(Fault(kind, times=4, path="/api/contact_tasks/"))
    await outreach.poll()
    assert "the list has 4 tasks, but none can be read one by one" in (await outreach.error() or "")
    await outreach.poll()
    assert len(await outreach.snapshots()) == 4
    assert await outreach.events() == []
    assert await outreach.error() is None


async def test_an_account_of_which_no_task_can_be_read_is_failing(outreach: Outreach) -> None:
    """The list is fine, but what has changed cannot be seen: that must not look like peace."""
    task, _ = outreach.system.make(), outreach.system.make()
    await outreach.poll()
    outreach.system.finish(task["id"])
    outreach.system.faults.set(Fault(FaultKind.FAILED, times=100, path="/api/contact_tasks/"))
    for _ in range(2):
        await outreach.poll()
        assert "failed (500)" in (await outreach.error() or "")
    outreach.system.faults.clear()
    outreach.clock.advance(timedelta(minutes=5))
    await outreach.poll()
    assert await outreach.events() == [("completed", ["done"])]
    assert await outreach.error() is None


async def test_a_task_that_can_never_be_read_is_its_own_fault(outreach: Outreach) -> None:
    """The system fails over one task, and shows the others: the account works."""
    broken, _ = outreach.system.make(), outreach.system.make()
    await outreach.poll()
    outreach.system.finish(broken["id"])
    outreach.system.faults.set(Fault(FaultKind.FAILED, times=100, path=broken["id"]))
    for _ in range(3):
        await outreach.poll()
        assert await outreach.error() is None


async def test_a_task_that_may_not_be_seen_hides_no_others(outreach: Outreach) -> None:
    """It is listed, and refused by itself: what is behind it is told; the token is not at fault."""
    secret, behind = outreach.system.make(), outreach.system.make()
    outreach.system.faults.set(Fault(FaultKind.UNAUTHORIZED, times=100, path=secret["id"]))
    await outreach.poll()
    outreach.system.finish(behind["id"])
    await outreach.poll()
    assert await outreach.events() == [("completed", ["done"])]
    assert await outreach.error() is None


async def test_a_token_that_opens_no_task_is_told(outreach: Outreach) -> None:
    """The list is shown, and every task of it refused: that is the token's fault."""
    task, _ = outreach.system.make(), outreach.system.make()
    await outreach.poll()
    outreach.system.finish(task["id"])
    outreach.system.faults.set(Fault(FaultKind.UNAUTHORIZED, times=100, path="/api/contact_tasks/"))
    await outreach.poll()
    assert "refused the account's credentials" in (await outreach.error() or "")
