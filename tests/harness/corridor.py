"""A whole Taskbell in one process, without its loops: a test says what happens next.

The database, the sockets, the emulated systems and the receivers are real; the time is the
test's. Each verb does its work until nothing is left of it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import orjson

from service.clock import VirtualClock
from service.config import Config, load
from service.domain.actors import Actor
from service.domain.operators.overrides import Mode
from service.http.client import open_client
from service.outbox import attempts, claiming, destinations, rule_switches
from service.outbox.approvals import DeliveryLinks
from service.outbox.claims import Claim
from service.rules.overrides import modes
from service.sandbox.app import Sandbox
from service.sandbox.app import running as serving
from service.sandbox.plannr import ACCOUNT_UUID
from service.sandbox.system import Raw
from service.sources import Source
from service.store import Pool, accounts
from service.store.accounts import AccountState
from service.store.operators.rule_overrides import Switch
from service.store.receipts import Receipt, ReceiptKeeper, body_key
from tests.harness.receivers import LOOPBACK, HttpReceiver
from tests.harness.slack_receiver import SlackReceiver
from tests.harness.waiting import PATIENCE
from workers import wiring
from workers.clock_tick import ClockRound
from workers.ingest import Ingest
from workers.lookup import Lookups
from workers.poll import LEASE, Poll
from workers.sender import LaneSender

TOKENS = {
    "SYSTEM_TOKEN": "sandbox",
    "SLACK_TOKEN": "xoxb-hidden-7Q",
    "TASKBELL_URL": "https://tasks.test",
    "HOOK_SECRET": "whsec_aGlkZGVuLWhpZGRlbi03UQ==",
}
LINKS = DeliveryLinks(TOKENS["TASKBELL_URL"], None)
FIRM = """\
  field:  {{ system: kickserv, base_url: "{sandbox}/kickserv", slug: acme, poll: 60s,
             token: "${{SYSTEM_TOKEN}}", per_minute: 100000, create: {{ job_id: 1 }},
             task_types: {{ "1": job, "2": invoice }}, timeout: {patience},
             webhook: {{ verify: none }} }}
  london: {{ system: plannr, base_url: "{sandbox}/plannr", account_uuid: "{uuid}", poll: 60s,
             token: "${{SYSTEM_TOKEN}}", per_minute: 100000, timeout: 3s,
             webhook: {{ verify: plannr, secret: "${{HOOK_SECRET}}" }} }}
  sales:  {{ system: rolodex, base_url: "{sandbox}/rolodex", poll: 60s, timeout: 3s,
             token: "${{SYSTEM_TOKEN}}", per_minute: 100000 }}
"""
HEAD = """\
version: 1
timezone: {zone}
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
{accounts}
channels:
  slack:      {{ kind: slack, token: "${{SLACK_TOKEN}}", api_url: "{slack}/api/"{slack_options} }}
  accounting: {{ kind: webhook, url: "{accounting}/hook", secret: "${{HOOK_SECRET}}",
                 {accounting_options} }}
  sms:        {{ kind: twilio, account_sid: AC1, token: "${{SLACK_TOKEN}}", from: "+14155550100",
                 country_code: "+1", api_url: "{accounting}", timeout: 3s }}
  mail:       {{ kind: email, url: "smtp://127.0.0.1:{smtp}", from: "office@firm.test" }}
  {more_channels}
hours: {{ office: "Mo-Fr 08:00-17:00" }}
rules:
{rules}
"""


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of one worker process, for one configuration."""

    ingests: dict[str, Ingest]
    clock_round: ClockRound
    lookups: dict[str, Lookups]
    polls: dict[str, Poll]
    lanes: dict[str, LaneSender]


@dataclass(slots=True, repr=False)
class Corridor:
    """What an event passes, and both ends of it."""

    pool: Pool
    clock: VirtualClock
    folder: Path
    client: httpx.AsyncClient
    sandbox: Sandbox
    slack: SlackReceiver
    accounting: HttpReceiver
    head: dict[str, str]
    keeper: ReceiptKeeper
    config: Config = field(init=False)
    worker: Worker = field(init=False)
    sources: Mapping[str, Source] = field(init=False)
    claims_directly: bool = False

    async def restart(self, rules: str, without: str = "", zone: str = "") -> Self:
        """End the worker and begin anew with these rules, without an account, in another zone."""
        self.head["zone"] = zone or self.head["zone"]
        config = configured(self.folder, rules, self.head)
        left = {name: one for name, one in config.accounts.items() if name != without}
        self.config = replace(config, accounts=left)
        pool, clock = self.pool, self.clock
        parts = await wiring.assemble(self.config, self.client, pool, clock, LINKS)
        self.sources = parts.sources
        self.worker = self._worker(parts)
        return self

    async def switch(self, rule: str, mode: Mode | None, reason: str | None = None) -> None:
        """Ann switches a rule; no worker has noticed it yet."""
        known = modes(self.config.text, {})
        written = known[rule].written if rule in known else None
        done = Switch(mode, Actor("Ann"), self.clock.now(), reason)
        await rule_switches.switch(self.pool, rule, written, done)

    async def take_out(self, channel: str) -> None:
        """A worker begins whose configuration has everything but this channel."""
        lanes = [lane for name, lane in self.worker.lanes.items() if name != channel]
        await wiring.cancel_orphans(self.pool, self.sources, lanes, self.clock)

    def _worker(self, parts: wiring.WorkerParts) -> Worker:
        pool, clock, sources, engine = self.pool, self.clock, self.sources, parts.engine
        lanes = parts.lanes if self.claims_directly else ()
        direct = partial(wiring.direct_claims, self.config, lanes)
        return Worker(
            ingests={
                name: Ingest(pool, engine, one, clock, direct) for name, one in sources.items()
            },
            clock_round=ClockRound(pool, engine),
            lookups={name: Lookups(pool, engine, one, clock) for name, one in sources.items()},
            polls={name: Poll(pool, engine, one, clock) for name, one in sources.items()},
            lanes={lane.name: lane for lane in parts.lanes},
        )

    async def receive(self, body: Any, account: str = "field") -> int:
        """A webhook comes in and is kept; nobody has read it yet."""
        text = body if isinstance(body, bytes) else orjson.dumps(body)
        receipt = Receipt((account, body_key(text)), text, {}, self.clock.now())
        return await self.keeper.keep(receipt)

    async def ingest(self) -> None:
        """Read what came in."""
        for ingest in self.worker.ingests.values():
            while (done := await ingest.batch()).count:
                for lane, claims in done.claims.items():
                    self.worker.lanes[lane].begin(claims)
                await ingest.note_webhook(done.told_at)

    async def webhook(self, body: Any, account: str = "field") -> None:
        """A webhook comes in and is read at once."""
        await self.receive(body, account)
        await self.ingest()

    async def look_up(self, account: str = "field") -> None:
        """Read by id what was asked for, as far as its time has come."""
        while (await self.worker.lookups[account].batch())[0]:
            pass

    async def poll(self, account: str = "field", *, full: bool = False) -> None:
        """Poll an account, whether it is due or not."""
        state = await self.claim_poll(account, full=full)
        async for _ in self.worker.polls[account].run(state):
            pass

    async def claim_poll(self, account: str = "field", *, full: bool = False) -> AccountState:
        """Begin a poll of an account, whether it is due or not, and whoever is polling it."""
        now = self.clock.now()
        if full:
            await accounts.poll_now(self.pool, account, now)
        await self.pool.execute(
            "UPDATE accounts SET next_poll_at = $2, lease_until = NULL WHERE name = $1",
            account,
            now,
        )
        [state] = await accounts.claim_due(self.pool, [account], now, LEASE)
        return state

    async def poll_what_is_due(self) -> None:
        """Poll the accounts whose time has come, and no others."""
        now = self.clock.now()
        for state in await accounts.claim_due(self.pool, self.worker.polls, now, LEASE):
            async for _ in self.worker.polls[state.name].run(state):
                pass

    async def begin(self, *names: str) -> None:
        """The first, silent scan of these accounts (default: all), and a minute's rest."""
        for name in names or tuple(self.worker.polls):
            await self.poll(name)
        self.clock.advance(timedelta(minutes=1))

    async def tick(self, **time: float) -> None:
        """Let time pass, then let the clock speak; the lanes learn which of them fail."""
        self.clock.advance(timedelta(**time))
        await go_round(self.worker)
        outages = await destinations.outages(self.pool)
        for name, lane in self.worker.lanes.items():
            lane.learn(outages.get(name))

    async def deliver(self, lane: str | None = None) -> None:
        """Send what is due, on every lane or on this one."""
        for one in [lane] if lane else list(self.worker.lanes):
            while await self.worker.lanes[one].batch():
                await self.worker.lanes[one].rest()

    async def claim(self, lane: str, limit: int = 1) -> list[Claim]:
        """Take what is due on this lane, and begin to send it; nothing has gone out yet."""
        rules, zones = self.config.rules, self.config.zones
        claims = await claiming.claim(self.pool, lane, self.clock, limit, rules, zones)
        async with self.pool.acquire() as connection:
            for claim in claims:
                await attempts.begin(connection, claim)
        return claims

    async def lose_workers(self, **time: float) -> None:
        """Whoever is sending gives no sign of life for so long that the sweep steps in."""
        self.clock.advance(timedelta(**time))
        await attempts.reclaim(self.pool, self.clock.now())

    async def events(self, task_id: object = None) -> list[str]:
        """What happened, in order, as "kind by cause"."""
        rows = await self.pool.fetch(
            "SELECT kind, cause FROM events WHERE task = $1 OR $1 IS NULL ORDER BY id",
            None if task_id is None else str(task_id),
        )
        return [f"{row['kind']} by {row['cause']}" for row in rows]

    async def deliveries(self, rule: str | None = None) -> list[asyncpg.Record]:
        return list(
            await self.pool.fetch(
                "SELECT * FROM deliveries WHERE rule = $1 OR $1 IS NULL ORDER BY id", rule
            )
        )

    async def states(self, rule: str | None = None) -> list[str]:
        """Where the deliveries stand, in the order in which they were planned."""
        return [row["state"] for row in await self.deliveries(rule)]

    async def is_everything_sent(self) -> bool:
        """Whether there is something in the outbox, and all of it is sent."""
        return set(await self.states()) == {"sent"}

    async def is_accounting_told(self) -> bool:
        return bool(self.accounting.requests)

    async def reasons(self) -> list[str]:
        """Why the rules decided as they did."""
        rows = await self.pool.fetch("SELECT reason FROM decisions ORDER BY id")
        return [row["reason"] for row in rows]

    async def snapshot(self, task_id: object) -> dict[str, Any] | None:
        """How a task is known to look; None where it is unknown or gone."""
        text = await self.pool.fetchval(
            "SELECT snapshot FROM tasks WHERE id = $1 AND deleted_at IS NULL", str(task_id)
        )
        return None if text is None else orjson.loads(text)

    @property
    def told(self) -> list[str]:
        """What Kickserv told customers and employees."""
        return [one.notification for one in self.sandbox.kickserv.record.notifications]

    @property
    def posts(self) -> list[str]:
        """What stands in Slack now."""
        return [one["text"] for one in self.slack.posted.values()]

    def visit(self, **fields: Any) -> Raw:
        """A new visit in Kickserv, tomorrow at this time for an hour."""
        start = self.clock.now() + timedelta(days=1)
        dates = {"scheduled_at": start, "ends_at": start + timedelta(hours=1)}
        return self.sandbox.kickserv.make(**dates | fields)


async def go_round(worker: Worker) -> None:
    """Let this worker's clock speak until it has nothing to say."""
    while (await worker.clock_round.batch())[0]:
        pass


def copy(raw: Raw) -> Raw:
    """How a task looks now, for a webhook that arrives later."""
    found: Raw = orjson.loads(orjson.dumps(raw))
    return found


def configured(folder: Path, rules: str, head: dict[str, str]) -> Config:
    file = folder / "taskbell.yaml"
    file.write_text(HEAD.format(rules=rules.strip("\n"), **head), encoding="utf-8")
    return load(file, TOKENS)


def firm(url: str, patience: str = "3s") -> str:
    """The accounts of a firm at the sandbox with this address."""
    return FIRM.format(sandbox=url, patience=patience, uuid=ACCOUNT_UUID)


@asynccontextmanager
async def corridor(
    folder: Path,
    pool: Pool,
    clock: VirtualClock,
    rules: str,
    accounts: Callable[[str], str] = firm,
) -> AsyncIterator[Corridor]:
    """A Taskbell with these rules, whose accounts have never been polled.

    `accounts` writes them down for a sandbox with the address that it is given.
    """
    sandbox = Sandbox(clock)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(LOOPBACK, timeout=PATIENCE))
        url = await stack.enter_async_context(serving(sandbox))
        slack = await stack.enter_async_context(SlackReceiver("office", "dispatch"))
        accounting = await stack.enter_async_context(HttpReceiver())
        head = {
            "accounts": accounts(url).rstrip(),
            "zone": "America/New_York",
            "slack": slack.url,
            "slack_options": "",
            "more_channels": "",
            "accounting": accounting.url,
            "accounting_options": "timeout: 3s",
            "smtp": "9",
        }
        made = Corridor(
            pool=pool,
            clock=clock,
            folder=folder,
            client=client,
            sandbox=sandbox,
            slack=slack,
            accounting=accounting,
            head=head,
            keeper=ReceiptKeeper(pool, lambda _: None),
        )
        yield await made.restart(rules)


def kinds(events: Sequence[str]) -> list[str]:
    """Of "kind by cause" the kinds."""
    return [event.partition(" ")[0] for event in events]


@asynccontextmanager
async def begun(
    folder: Path, pool: Pool, clock: VirtualClock, rules: str
) -> AsyncIterator[Corridor]:
    """A Taskbell with these rules after its first sync; where the clock was not moved, at 7:01."""
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        yield taskbell
