"""A site that has one of everything to show: every state, every kind of trouble, hostile texts."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from service.clock import Clock
from service.config import Config, load
from service.domain.actors import Actor
from service.domain.contacts import keys_in
from service.domain.holds import Hold
from service.domain.model import Cause, Customer, Event, Kind, State, Task
from service.domain.silences import Silence
from service.outbox import holds, silences
from service.store import Pool, account_actions
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from tests.harness.history import know, plan, record
from tests.harness.people import users
from tests.harness.tasks import BO, SMITH, task

ANNA = Actor("anna")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}\u202eevil "
LONG = "W" * 10_000

CONFIGURATION = """
version: 1
timezone: Europe/London
accounts:
  open:   { system: plannr, base_url: "http://127.0.0.1:9", token: t0ken, account_uuid: u,
            webhook: { verify: none } }
  london: { system: plannr, base_url: "http://127.0.0.1:9", token: t0ken, account_uuid: u }
  field:  { system: kickserv, base_url: "http://127.0.0.1:9", slug: acme, token: t0ken,
            timezone: America/New_York, webhook: { verify: none } }
  sales:  { system: rolodex, base_url: "http://127.0.0.1:9", token: t0ken }
channels:
  accounting: { kind: webhook, url: "http://127.0.0.1:9/",
                secret: "whsec_bmV3IHNlY3JldCwgbmV3IHNlY3JldA==" }
  email:      { kind: email, url: "smtp://127.0.0.1:9", from: "office@firm.test" }
hours: { office: "Mo-Fr 08:00-17:00; PH off", night: "Mo-Fr 22:00-06:00" }
holidays: { country: GB }
rules:
- id: job-done
  when: task.completed
  if: [task.type == "job", task.title.contains("gutters")]
  then: [{ notify: accounting }]
- id: overdue-nudge
  when: { task.overdue: 2h }
  then: [{ notify: accounting, text: "{{ task.title }} is open" }]
- id: hostile
  when: { schedule: "1-9 7 1 * 1" }
  accounts: [sales]
  then: [{ notify: accounting, text: "<script>alert(1)</script><img src=x>\\u202e {{ now }}" }]
- { id: off-today, when: task.created, enabled: false, then: [{ notify: accounting }] }
"""


def configured(folder: Path, people: str | None = None) -> Config:
    """The configuration of this office, with the users of `people`, or with these."""
    written = CONFIGURATION + (users() if people is None else people)
    (folder / "taskbell.yaml").write_text(written)
    return load(folder / "taskbell.yaml", {})


async def fill(pool: Pool, clock: Clock) -> None:
    """Put everything into the database of a site that is being served."""
    await _accounts(pool, clock)
    await _webhooks(pool, clock)
    await _silences(pool, clock)
    await _tasks(pool, clock)
    for state in State:
        await plan(pool, await _done(pool, clock), state, text=f"the {state} one")
    await _to_customers(pool, clock)
    await _asked(pool, clock)
    await _storm(pool, clock)
    await _hostile(pool, clock)


async def _accounts(pool: Pool, clock: Clock) -> None:
    now = clock.now()
    await pool.execute(
        "UPDATE accounts SET baseline_at = $1, scanned_at = $1, polled_at = $1, webhook_at = $1,"
        " missed = 3, missed_at = $1, next_poll_at = $2",
        now - 3 * MINUTE,
        now + MINUTE,
    )
    await pool.execute(
        "UPDATE accounts SET failing_since = $1, error = 'field: the token was refused (401)'"
        " WHERE name = 'field'",
        now - HOUR,
    )
    await account_actions.pause(pool, "sales", now, by=ANNA)


async def _webhooks(pool: Pool, clock: Clock) -> None:
    """One that was read, one that waits, and two that cannot be read."""
    await pool.execute(
        """
        INSERT INTO receipts (account, key, body, headers, received_at, state, reason, settled_at)
        SELECT 'open', key, '{"task": {"id": "T1"}}', '{"user-agent": "Plannr/1"}', $1, state,
               reason, $1
        FROM (VALUES ('a', 'done', NULL), ('b', 'pending', NULL), ('c', 'poison', 'it has no id'),
                     ('d', 'poison', 'it is no task')) AS one (key, state, reason)
        """,
        clock.now() - MINUTE,
    )


async def _silences(pool: Pool, clock: Clock) -> None:
    now = clock.now()
    for began, hours in ((now - HOUR, 3), (now + HOUR, 2), (now - 9 * HOUR, 1)):
        silence = Silence(0, began, began + hours * HOUR, "stocktaking", rule="overdue-nudge")
        await silences.add(pool, silence, ANNA)
    hold = Hold(0, now, now + HOUR, f"snow {HOSTILE}", ANNA.name)
    await holds.begin(pool, hold, by=ANNA)
    for address, wants in (("ida@c.test", False), ("+44 7700 900123", True)):
        await contact_choices.choose(
            pool,
            keys_in(address),
            wants=wants,
            by=ANNA,
            through=Through.PAGE,
            now=now,
            note=f"called {HOSTILE}",
        )


async def _tasks(pool: Pool, clock: Clock) -> None:
    now = clock.now()
    visit = _visit(due=now - 3 * HOUR, start=now + HOUR, end=now + 2 * HOUR)
    await know(pool, visit, task("T2", title="Mow", done=True), at=now)
    await know(pool, task("T3", title="Paint"), at=now, gone=True)
    before = _visit(due=now - 9 * HOUR)
    await record(pool, visit, Kind.RESCHEDULED, at=now - 2 * HOUR, before=before)
    await record(pool, visit, Kind.OVERDUE, at=now - HOUR, cause=Cause.CLOCK)


def _visit(**times: Any) -> Task:
    return task(customer=SMITH, assignee=BO, type="job", **times)


async def _done(pool: Pool, clock: Clock) -> Event:
    return await record(pool, _visit(), Kind.COMPLETED, at=clock.now(), cause=Cause.WEBHOOK)


async def _to_customers(pool: Pool, clock: Clock) -> None:
    """One that did not go out, and one that is on hold."""
    failed = {"channel": "customer", "target": "on_the_way", "text": "to Smith"}
    await plan(pool, await _done(pool, clock), State.FAILED, **failed)
    number = await plan(pool, await _done(pool, clock), State.HELD, **failed)
    await pool.execute("UPDATE deliveries SET hold = 1 WHERE id = $1", number)


async def _asked(pool: Pool, clock: Clock) -> None:
    """Two that wait for approval."""
    for name in ("first", "second"):
        number = await plan(
            pool, await _done(pool, clock), State.HELD, text=f"the {name} that asks"
        )
        await pool.execute(
            "UPDATE deliveries SET approver = 'slack:#boss', approve_by = $2, send_at = $3"
            " WHERE id = $1",
            number,
            clock.now() + HOUR,
            clock.now(),
        )


async def _storm(pool: Pool, clock: Clock) -> None:
    number = await pool.fetchval(
        "INSERT INTO storms (flood, account, rule, reason, began_at)"
        " VALUES ('london', 'london', 'job-done', '500 messages within 10 minutes', $1)"
        " RETURNING id",
        clock.now(),
    )
    one = await plan(pool, await _done(pool, clock), State.HELD, text="one of many")
    await pool.execute("UPDATE deliveries SET storm = $2 WHERE id = $1", one, number)


async def _hostile(pool: Pool, clock: Clock) -> None:
    """Foreign texts with markup, that turn round, and that are longer than any screen."""
    customer = Customer(id="<b>", name=f"{HOSTILE}{LONG}")
    about = task("T/4?<b>", title=f"{HOSTILE}{LONG}", customer=customer)
    await know(pool, about, at=clock.now())
    event = await record(pool, about, Kind.CREATED, at=clock.now())
    texts = {"text": f"{HOSTILE}{LONG}", "subject": HOSTILE, "target": f'"><b>{"x" * 200}'}
    await plan(pool, event, State.FAILED, channel="email", **texts)
    await pool.execute("UPDATE deliveries SET reason = $1 WHERE event = $2", HOSTILE, event.id)
