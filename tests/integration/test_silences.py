"""Silences: what nobody wants to hear for a while is not sent, and says why."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.operators.holds import Hold
from service.domain.operators.silences import Silence
from service.outbox import approvals, holds, operator_actions, silences
from service.outbox.silences import NoSuchSilence, Preview
from service.sandbox.kickserv import customer
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer

HOUR = timedelta(hours=1)
RULES = """
- id: new
  when: task.created
  then: [{ notify: "slack:#office", text: "{{ task.title }}" }]
- id: later
  when: task.created
  then:
    - wait: 2h
    - notify: slack:#dispatch
      text: "later {{ task.title }}"
"""


async def silence(taskbell: Corridor, hours: float, **scopes: Any) -> int:
    """From now on, for that many hours."""
    now = taskbell.clock.now()
    one = Silence(0, now, now + hours * HOUR, "stocktaking", **scopes)
    return await silences.add(taskbell.pool, one, by=Actor("Ann"))


async def fates(taskbell: Corridor, rule: str) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries(rule)]


async def test_what_is_silenced_is_not_planned(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Neither what would go out now nor what would have gone out when the silence is over."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        until = f"{clock.now() + HOUR:%Y-%m-%d %H:%M} UTC"
        number = await silence(taskbell, 1, account="field")
        await taskbell.webhook(taskbell.visit())
        clock.advance(3 * HOUR)
        await taskbell.deliver()
        fate = ("skipped", f"silenced until {until} (silence {number}): stocktaking")
        assert await fates(taskbell, "new") == [fate]
        assert await fates(taskbell, "later") == [fate]
        await taskbell.webhook(taskbell.visit(name="after"))
        await taskbell.deliver()
        assert taskbell.posts == ["after"]


async def test_what_a_person_wants_sent_is_not_silenced_later(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Its first attempt fails, its next one is lost with a worker: it is still what they wanted."""
    rules = "- { id: new, when: task.created, then: [{ notify: accounting }] }"
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        [delivery] = await taskbell.deliveries()
        await operator_actions.cancel(pool, clock, delivery["id"], by=Actor("Ann"))
        await silence(taskbell, 48, account="field")
        await operator_actions.retry(pool, clock, delivery["id"], by=Actor("Ann"))
        taskbell.accounting.reply(Answer(500))
        await taskbell.deliver()
        assert await taskbell.states() == ["planned"]
        clock.advance(timedelta(minutes=1))
        await taskbell.claim("accounting")
        await taskbell.lose_workers(minutes=1)
        await taskbell.deliver()
        assert await taskbell.states() == ["sent"]


async def test_what_waits_is_asked_again_when_it_is_about_to_go(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Planned before the silence: it is skipped if its moment falls into it, no attempt made."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        await taskbell.deliver()
        clock.advance(1.5 * HOUR)
        await silence(taskbell, 1, rule="later")
        clock.advance(HOUR / 2)
        await taskbell.deliver()
        [later] = await taskbell.deliveries("later")
        assert (later["state"], later["attempts"], later["lease_until"]) == ("skipped", 0, None)
        assert later["reason"].endswith(": stocktaking")
        assert await taskbell.states("new") == ["sent"]


async def test_what_waits_goes_when_the_silence_is_over_by_then(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A silence in between leaves no trace, also one that somebody ended early."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        await silence(taskbell, 1, rule="later")
        number = await silence(taskbell, 100, rule="later")
        clock.advance(HOUR)
        await silences.expire(pool, number, clock.now(), by=Actor("Ann"))
        with pytest.raises(NoSuchSilence):
            await silences.expire(pool, number, clock.now(), by=Actor("Ann"))
        clock.advance(HOUR)
        await taskbell.deliver()
        assert await taskbell.states("later") == ["sent"]


async def test_other_customers_hear_what_they_should(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A silence for one customer is for that customer's tasks."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await silence(taskbell, 1, customer="Smith")
        for name in ("Smith", "Jones"):
            customer = {"id": len(name), "name": name}
            await taskbell.webhook(taskbell.visit(name=f"for {name}", customer=customer))
        await taskbell.deliver()
        assert taskbell.posts == ["for Jones"]


async def test_what_a_person_sends_all_the_same_goes(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """And so does what takes a message back that is out."""
    rules = """
    - id: new
      when: task.completed
      then: [{ notify: "slack:#office", text: done, on_undo: update }]
    - id: later
      when: task.created
      then: [{ wait: 2h }, { notify: "slack:#office", text: later }]
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        visit = taskbell.visit()
        await taskbell.webhook(visit)
        kickserv = taskbell.sandbox.kickserv
        clock.advance(timedelta(minutes=1))
        await taskbell.webhook(kickserv.change(str(visit["id"]), completed_on="2026-03-06"))
        await taskbell.deliver()
        await silence(taskbell, 5, account="field")
        [later] = await taskbell.deliveries("later")
        await operator_actions.retry(pool, clock, later["id"], by=Actor("Ann"))
        clock.advance(timedelta(minutes=1))
        await taskbell.webhook(kickserv.change(str(visit["id"]), completed_on=None))
        await taskbell.deliver()
        assert sorted(taskbell.posts) == ["No longer true (task was reopened): done", "later"]


async def test_a_preview_counts_what_waits_and_what_went_out(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Of what waits only that whose moment falls into the silence; of the past a month."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit(name="long ago"))
        clock.advance(timedelta(days=31))
        await taskbell.deliver()
        for name in ("a", "b"):
            await taskbell.webhook(taskbell.visit(name=name))
        await taskbell.deliver()
        now = clock.now()
        waiting = [
            one["id"] for one in await taskbell.deliveries("later") if one["state"] != "sent"
        ]
        short = Silence(0, now, now + HOUR, "", account="field")
        long = Silence(0, now, now + 3 * HOUR, "", account="field")
        assert await silences.preview(pool, short, now) == Preview(0, 2, 2, ())
        assert await silences.preview(pool, long, now) == Preview(2, 2, 2, tuple(waiting))
        other = Silence(0, now, now + 3 * HOUR, "", account="field", customer="nobody")
        assert await silences.preview(pool, other, now) == Preview(0, 0, 0, ())
        tomorrow = Silence(0, now + 24 * HOUR, now + 48 * HOUR, "", account="field")
        assert await silences.preview(pool, tomorrow, now) == Preview(0, 2, 2, ())
        in_a_while = now + timedelta(days=8)
        assert (await silences.preview(pool, long, in_a_while)).last_week == 0


@pytest.mark.parametrize(
    ("scopes", "count"),
    [
        ({"person": "OFFICE@field.test"}, 1),
        ({"person": "#office"}, 1),
        ({"person": "bo.reed@FIELD.test"}, 1),
        ({"person": "ann"}, 1),
        ({"customer": "STRASSE"}, 4),
        ({"customer": "straße"}, 4),
        ({"customer": "13579"}, 4),
        ({"project": "GUTTERS"}, 4),
        ({"project": "gutter\N{LATIN SMALL LETTER LONG S}"}, 4),
        ({"project": "34769012", "rule": "new"}, 4),
        ({"customer": "Gasse"}, 0),
        ({"person": "elsewhere@field.test"}, 0),
    ],
)
async def test_a_preview_takes_names_as_people_write_them(
    pool: Pool, clock: VirtualClock, folder: Path, scopes: dict[str, Any], count: int
) -> None:
    """In small or large letters, by name or id, and whatever the way to the person."""
    rules = """
- id: new
  when: task.created
  then:
    - { notify: "slack:#office", text: "{{ task.title }}" }
    - { notify: "mail:office@field.test", text: "{{ task.title }}" }
    - { notify: "slack:@ann", text: "{{ task.title }}" }
    - { notify: employee }
"""
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit(customer=customer("Straße", 13579)))
        now = clock.now()
        one = Silence(0, now, now + HOUR, "", **scopes)
        found = await silences.preview(pool, one, now)
        assert found.pending + found.lately == count


ASKING = """
- { id: new, when: task.created, then: [{ notify: "customer:details", approve: "slack:#office" }] }
"""


async def test_a_preview_counts_what_may_be_approved_or_released_meanwhile(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Its end, a day from now, is not its moment: a person may let it go at any time before."""
    async with corridor(folder, pool, clock, ASKING) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        [waiting, _] = await taskbell.deliveries("new")
        now = clock.now()
        later = Silence(0, now + HOUR, now + 2 * HOUR, "", rule="new")
        assert await silences.preview(pool, later, now) == Preview(1, 0, 0, (waiting["id"],))
        for_days = Silence(0, now + 48 * HOUR, now + 72 * HOUR, "", rule="new")
        assert (await silences.preview(pool, for_days, now)).pending == 0

        await approvals.approve(pool, clock, waiting["id"], by=Actor("Bo"))
        assert (await silences.preview(pool, later, now)).pending == 0
        await holds.begin(pool, Hold(0, now, now + 9 * HOUR, "snow", "Ann"), by=Actor("Ann"))
        await taskbell.deliver()
        assert (await silences.preview(pool, later, now)).pending == 1


async def test_a_silence_counts_what_it_has_hidden(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What was never planned, and what waited until its time came."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(taskbell.visit())
        await silence(taskbell, 3, rule="later")
        await silence(taskbell, 1, rule="new")
        await taskbell.webhook(taskbell.visit())
        clock.advance(2 * HOUR)
        await taskbell.deliver()
        found = await silences.listed(pool, clock.now() - 24 * HOUR, 10)
        assert [(one["rule"], one["hidden"]) for one in found] == [("later", 2), ("new", 1)]
        assert await silences.listed(pool, clock.now(), 10) == found[:1]
