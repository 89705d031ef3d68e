"""How fast the steps of an event, every screen and every list of the API are on a large database.

`python -m tests.bench growth-full` has 1,000,000 tasks and 5,000,000 deliveries; it takes about ten
minutes, half of them to fill the database. `growth` has a twentieth of that.
"""

import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import httpx

from service import store
from service.clock import SystemClock
from service.config import Config, load
from service.domain.model import Cause, Customer, Event, Kind, Person, Task
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from service.store import Pool
from service.store.events import PostgresEvents
from tests.bench.event_steps import Steps
from tests.bench.figures import Figure, grown
from tests.harness.history import know
from tests.harness.site import serving

TASKS, EACH, FRACTION = 1_000_000, 5, 20
ROUNDS = 100
# Of a task that does not exist, and of messages to act on all at once where there are none.
_EXPECTED = frozenset({httpx.codes.OK, httpx.codes.NOT_FOUND, httpx.codes.CONFLICT})
MOST_MEDIAN, MOST_P99 = 100.0, 300.0  # milliseconds
_AT_ONCE = 2_000
_WORDS = ("roof", "gutter", "window", "door", "fence", "boiler", "pipe", "drain", "lamp", "lock")
_PEOPLE = tuple(Person(str(n), f"Person {n}", f"p{n}@firm.test") for n in range(50))

_CONFIGURATION = """
version: 1
timezone: Europe/London
accounts:
  london: { system: plannr, base_url: "http://127.0.0.1:9", token: t0ken, account_uuid: u }
  field:  { system: kickserv, base_url: "http://127.0.0.1:9", slug: acme, token: t0ken }
people: { Ann Lee: { email: ann.lee@firm.test } }
channels:
  slack: { kind: slack, token: xoxb-t0ken }
storm: { per_target: 1000000, per_rule: 1000000 }
rules:
"""
_RULE = """- {{ id: rule-{n}, when: task.completed,
    then: [{{ notify: "slack:#office-{n}", text: done }}] }}
"""

# In this order, the state of one in so many.
_STATES = """
    CASE WHEN id % 50000 = 0 THEN 'failed' WHEN id % 50000 = 1 THEN 'unknown'
         WHEN id % 5000 = 2 THEN 'planned' WHEN id % 5000 = 3 THEN 'held'
         WHEN id % 50 = 4 THEN 'skipped' WHEN id % 100 = 5 THEN 'cancelled'
         WHEN id % 1000 = 6 THEN 'expired' ELSE 'sent' END
"""
_FILL = f"""
    INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
        at_most_once, text, state, attempts, created_at, next_attempt_at, settled_at)
    SELECT account, task, event, rule, event || '-' || rule, 0, 'slack', '#office-' || id % 30,
        'slack', false, 'The task of number ' || task || ' is done', state, 1, at,
        CASE WHEN state IN ('planned', 'held') THEN now() + id % 86400 * interval '1 second' END,
        CASE WHEN state NOT IN ('planned', 'held') THEN at + interval '2 seconds' END
    FROM (SELECT *, {_STATES} AS state
          FROM (SELECT account, task, id AS event, at, 'rule-' || copy AS rule, id * $1 + copy AS id
                FROM events CROSS JOIN generate_series(0, $1 - 1) AS copy
                WHERE id BETWEEN $2 AND $3) AS wanted) AS planned
"""
_ATTEMPTS = """
    INSERT INTO attempts (delivery, number, began_at, took_ms, outcome, status)
    SELECT id, 1, settled_at, 120, 'sent', 200 FROM deliveries
    WHERE event BETWEEN $1 AND $2 AND state = 'sent'
"""
_DECISIONS = """
    INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)
    SELECT id, 'rule-0', 'v', 'matched', 'task.completed', at FROM events WHERE id BETWEEN $1 AND $2
"""


@dataclass(frozen=True, slots=True)
class Took:
    """What the requests for one address took, in milliseconds."""

    path: str
    median: float
    p99: float

    @property
    def address(self) -> str:
        """For people: without the names of numbers."""
        return re.sub(r"\{\w\}", "…", self.path)


async def growth(folder: Path) -> list[Figure]:
    """A twentieth of the tasks and deliveries, for every day."""
    return await _measured(folder, TASKS // FRACTION)


async def growth_full(folder: Path) -> list[Figure]:
    """All of them."""
    return await _measured(folder, TASKS)


async def _measured(folder: Path, tasks: int) -> list[Figure]:
    folder.mkdir()
    config, clock = configured(folder), SystemClock()
    postgres, valkey = EmbeddedPostgres(folder / "postgres"), EmbeddedValkey(folder / "valkey")
    try:
        async with await store.connect(postgres.url) as pool:
            await store.migrate(pool)
            async with serving(config, pool, clock, valkey.url) as web:
                before = await Steps.measured(postgres.url, config)
                lists = [await _ask(web.client, path, tasks) for path in paths() if "{" not in path]
                started = time.perf_counter()
                await fill(pool, tasks, clock.now())
                filled = time.perf_counter() - started
                after = await Steps.measured(postgres.url, config)
                took = [await _ask(web.client, path, tasks) for path in paths()]
    finally:
        valkey.stop()
        postgres.stop()
    return [
        *_figures(took, tasks, filled),
        *before.figures(after),
        *_compared(lists, [one for one in took if "{" not in one.path]),
    ]


def configured(folder: Path) -> Config:
    rules = "".join(_RULE.format(n=n) for n in range(EACH))
    (folder / "taskbell.yaml").write_text(_CONFIGURATION + rules)
    return load(folder / "taskbell.yaml", {})


async def fill(pool: Pool, tasks: int, now: datetime) -> None:
    """Tasks, an event of each, and what came of it; the last event was just now."""
    await pool.execute("ALTER DATABASE postgres SET synchronous_commit = off")
    apart = timedelta(days=365) / tasks
    for first in range(0, tasks, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, tasks))
        known = [_task(number, now - (tasks - number) * apart) for number in numbers]
        await know(pool, *known, at=now)
        async with pool.acquire() as connection, connection.transaction():
            events = PostgresEvents(connection)
            ids = await events.allot_ids(len(known))
            happened = [_event(one, task) for one, task in zip(ids, known, strict=True)]
            await events.insert(happened, "v", now)
            await connection.execute(_FILL, EACH, min(ids), max(ids))
            await connection.execute(_ATTEMPTS, min(ids), max(ids))
            await connection.execute(_DECISIONS, min(ids), max(ids))
    await pool.execute("VACUUM ANALYZE", timeout=600)
    await pool.execute("ALTER DATABASE postgres RESET synchronous_commit")


def _task(number: int, at: datetime) -> Task:
    random = Random(number)  # noqa: S311 (no secret)
    account, system = ("london", "plannr") if number % 3 else ("field", "kickserv")
    return Task(
        f"T{number}",
        account,
        system,
        f"{random.choice(_WORDS)} and {random.choice(_WORDS)} {number}",
        description="Take the long ladder. " * 5,
        type="job",
        done=number % 4 == 0,
        due=at + timedelta(days=random.randrange(900)),
        created_at=at,
        updated_at=at,
        assignee=random.choice(_PEOPLE),
        customer=Customer(
            f"C{number // 20}", f"Customer {number // 20}", f"c{number // 20}@x.test"
        ),
    )


def _event(number: int, task: Task) -> Event:
    at = task.updated_at or task.created_at
    if at is None:
        raise ValueError("a task of this bench has a date")
    kind = Kind.COMPLETED if task.done else Kind.CREATED
    return Event(number, task.account, task.id, kind, at, Cause.WEBHOOK, None, task)


def paths() -> Iterator[str]:
    """Addresses; `{n}` stands for the number of a task, `{d}` for that of a delivery.

    Those without a number are lists, which an empty database has as well.
    """
    yield from ("/", "/coming", "/coming?within=7d", "/rules", "/silences", "/connections")
    yield from ("/webhooks", "/audit", "/messages", "/tasks")
    yield from (f"/messages?state={state}" for state in ("sent", "failed", "skipped", "waiting"))
    yield from ("/messages?q=Customer {c}", "/messages?q=T{n}", "/messages?q=roof")
    yield from ("/messages?rule=rule-1", "/messages?to=%23office-7", "/messages?account=field")
    yield from ("/messages/{d}", "/tasks?q=roof", "/tasks?q=Customer {c}", "/tasks?q=T{n}")
    yield from ("/tasks?q=roof gutter {n}", "/tasks/london/T{o}", "/rules/rule-1")
    yield from ("/messages/bulk/retry?state=failed", "/messages/bulk/dismiss?state=unknown")
    yield from ("/messages?day=2026-03-06", "/backtests/rule-1", "/contacts")
    yield from (
        f"/{name}?account=london&task=T{{o}}&rule=rule-1" for name in ("previews", "rule-tests")
    )
    yield "/metrics"
    api = "/api/v1"
    yield from (f"{api}/{name}" for name in ("tasks", "events", "decisions", "deliveries"))
    yield from (f"{api}/{name}" for name in ("rules", "accounts", "silences", "audit", "receipts"))
    yield from (f"{api}/deliveries?state={state}" for state in ("sent", "failed", "planned"))
    yield from (f"{api}/{name}?account=field" for name in ("tasks", "events", "deliveries"))
    yield from (f"{api}/{name}?task=T{{n}}" for name in ("events", "decisions", "deliveries"))
    yield from (f"{api}/{name}?rule=rule-1" for name in ("decisions", "deliveries"))
    yield from (f"{api}/deliveries/{{d}}", f"{api}/deliveries/{{d}}/attempts")
    yield from (f"{api}/contacts", f"{api}/contacts?state=opted_out")
    yield from (f"{api}/tasks/T{{o}}?account=london", f"{api}/search?q=roof", f"{api}/next")
    yield from (f"{api}/explain?account=london&task={one}" for one in ("T{o}", "no such task"))
    # Filters that next to nothing matches.
    yield from (f"{api}/deliveries?{one}=nothing" for one in ("rule", "channel", "account"))
    yield from (f"{api}/tasks?state=deleted", f"{api}/tasks?since=2099-01-01T00:00:00Z")
    yield from (f"{api}/{name}?kind=deleted" for name in ("events", "decisions", "deliveries"))
    yield from (f"{api}/decisions?rule=nothing", "/messages?rule=nothing", "/tasks?q=nothing")


async def _ask(client: httpx.AsyncClient, path: str, tasks: int) -> Took:
    """Ask often, each time for another task; raises if something answers with a fault."""
    random, took = Random(path), []  # noqa: S311 (no secret)
    for _ in range(ROUNDS):
        number = random.randrange(tasks)
        asked = path.format(
            n=number, c=number // 20, d=number * EACH + 1, o=number - number % 3 + 1
        )
        started = time.perf_counter()
        answer = await client.get(asked, headers={"accept": "text/html"}, timeout=60)
        took.append((time.perf_counter() - started) * 1000)
        if answer.status_code not in _EXPECTED:
            answer.raise_for_status()
    return Took(path, statistics.median(took), sorted(took)[int(ROUNDS * 0.99) - 1])


def _figures(took: Sequence[Took], tasks: int, filled: float) -> list[Figure]:
    of = f"{tasks:,} tasks, {tasks * EACH:,} deliveries"
    slow = max(took, key=lambda one: one.median)
    late = max(took, key=lambda one: one.p99)
    is_slow = [one for one in took if one.median > MOST_MEDIAN or one.p99 > MOST_P99]
    return [
        Figure(f"{of}: filled in", f"{filled:.0f} s"),
        Figure(
            f"  slowest median of {len(took)} addresses: {slow.address}",
            f"{slow.median:.0f} ms",
            f"≤ {MOST_MEDIAN:.0f} ms",
            slow.median <= MOST_MEDIAN,
        ),
        Figure(
            f"  slowest p99: {late.address}",
            f"{late.p99:.0f} ms",
            f"≤ {MOST_P99:.0f} ms",
            late.p99 <= MOST_P99,
        ),
        *(
            Figure(f"  too slow: {one.address}", f"{one.median:.0f} / {one.p99:.0f} ms", "", None)
            for one in is_slow
        ),
    ]


def _compared(empty: Sequence[Took], full: Sequence[Took]) -> list[Figure]:
    """The lists of the API and those of the page, each by the median of their medians."""
    return [
        grown(
            f"{name}, the median of {sum(is_one(one) for one in full)}",
            statistics.median(one.median for one in empty if is_one(one)),
            statistics.median(one.median for one in full if is_one(one)),
        )
        for name, is_one in (("a list of the API", _is_api), ("a screen of the page", _is_page))
    ]


def _is_api(one: Took) -> bool:
    return one.path.startswith("/api/")


def _is_page(one: Took) -> bool:
    return not _is_api(one)
