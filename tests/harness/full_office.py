"""A site that has one of everything to show: every state, every kind of trouble, hostile texts."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson

from service.clock import Clock
from service.config import Config, load
from service.domain.actors import Actor
from service.domain.contacts import keys_in
from service.domain.model import Cause, Customer, Event, Kind, Person, Project, State, Task
from service.domain.operators.buttons import Button
from service.domain.operators.holds import Hold
from service.domain.operators.silences import Silence
from service.outbox import holds, silences
from service.store import Pool, account_actions
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from tests.harness.history import know, plan, record
from tests.harness.people import users
from tests.harness.tasks import BO, SMITH, task

ANNA = Actor("anna")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
# Markup, the ends of attributes, a template, a terminal's commands, and what turns texts round.
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"' onfocus=alert(3) &{{ 7*7 }}"
    "\x1b[31m\x1b]0;evil\x07\u2067\u202eevil "
)
LONG = "W" * 10_000
HOSTILE_TASK = "T/4?<b>"

CONFIGURATION = """
version: 1
timezone: Europe/London
network: { allow: ["127.0.0.0/8"] }
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


async def post(sandbox: str) -> None:
    """Send a hostile text to the Slack that is emulated at this address."""
    text = {"channel": "#office", "text": f"{HOSTILE}{LONG}"}
    headers = {"authorization": "Bearer sandbox"}
    async with httpx.AsyncClient(headers=headers) as client:
        await client.post(f"{sandbox}/slack/api/chat.postMessage", json=text)


async def _accounts(pool: Pool, clock: Clock) -> None:
    now = clock.now()
    await pool.execute(
        "UPDATE accounts SET baseline_at = $1, scanned_at = $1, polled_at = $1, webhook_at = $1,"
        " missed = 3, missed_at = $1, next_poll_at = $2",
        now - 3 * MINUTE,
        now + MINUTE,
    )
    await pool.execute(
        "UPDATE accounts SET failing_since = $1, error = $2 WHERE name = 'field'",
        now - HOUR,
        f"field: the token was refused (401) {HOSTILE}",
    )
    await account_actions.pause(pool, "sales", now, by=ANNA)


async def _webhooks(pool: Pool, clock: Clock) -> None:
    """One that was read, one that waits, and two that cannot be read; the last is hostile."""
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
    await pool.execute(
        "UPDATE receipts SET body = $1, headers = jsonb_build_object('user-agent', $2::text),"
        " reason = reason || $2 WHERE key = 'd'",
        orjson.dumps({HOSTILE: HOSTILE}),
        HOSTILE,
    )


async def _silences(pool: Pool, clock: Clock) -> None:
    now = clock.now()
    for began, hours in ((now - HOUR, 3), (now + HOUR, 2), (now - 9 * HOUR, 1)):
        silence = Silence(0, began, began + hours * HOUR, "stocktaking", rule="overdue-nudge")
        await silences.add(pool, silence, ANNA)
    hostile = Silence(0, now, now + HOUR, HOSTILE, person=HOSTILE, customer=f"{HOSTILE}{LONG}")
    await silences.add(pool, hostile, ANNA)
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
    for text in ("the first that asks", f"the second that asks {HOSTILE}"):
        number = await plan(pool, await _done(pool, clock), State.HELD, text=text)
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
    """Foreign texts in every field and error of a task and its message; some are very long."""
    now, about = clock.now(), _hostile_task()
    await know(pool, about, at=now)
    before = task(HOSTILE_TASK, title=HOSTILE[::-1])
    event = await record(pool, about, Kind.CREATED, at=now - 2 * MINUTE)
    await record(pool, about, Kind.CHANGED, at=now - MINUTE, before=before)
    texts = {"text": f"{HOSTILE}{LONG}", "subject": HOSTILE, "target": f'"><b>{"x" * 200}'}
    number = await plan(pool, event, State.FAILED, channel="email", **texts)
    await pool.execute(
        "UPDATE deliveries SET reason = $1, buttons = $3 WHERE event = $2",
        HOSTILE,
        event.id,
        [Button.ACKNOWLEDGE],
    )
    await pool.execute(
        "INSERT INTO attempts VALUES ($1, 1, $2, 90, 'failed', 550, $3)", number, now, HOSTILE
    )
    await pool.execute(
        "INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)"
        " VALUES ($1, 'hostile', 'none', 'matched', $2, $3)",
        event.id,
        HOSTILE,
        now,
    )
    await pool.execute(
        "INSERT INTO lane_outages VALUES ('email', $1, $2, $1, 1)", now - MINUTE, HOSTILE
    )


def _hostile_task() -> Task:
    person = Person(*[HOSTILE] * 5)
    return task(
        HOSTILE_TASK,
        title=f"{HOSTILE}{LONG}",
        url=f"javascript:alert(4)//{HOSTILE}",
        description=f"{HOSTILE}{LONG}",
        type=HOSTILE,
        status=HOSTILE,
        author=person,
        assignee=person,
        completed_by=person,
        customer=Customer(id="<b>", name=f"{HOSTILE}{LONG}", email=HOSTILE, phone=HOSTILE),
        project=Project(HOSTILE, HOSTILE),
        tags=(HOSTILE,),
        fields={HOSTILE: f"{HOSTILE}{LONG}"},
    )
