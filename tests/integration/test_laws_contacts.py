"""Law 8: who has opted out gets none, whatever a rule or a person asks; nobody gets too many."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.domain.actors import Actor
from service.domain.contacts import ContactKey, KeyKind, keys_in
from service.outbox import operator_actions
from service.sandbox.faults import Fault, FaultKind
from service.simulator import Simulator
from service.simulator.foresight import Setting, foresee
from service.simulator.rule_backtest import try_rule
from service.simulator.upcoming import in_order, upcoming
from service.store import Pool
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from tests.harness.corridor import Corridor, begun
from tests.harness.waiting import eventually

HOUR = timedelta(hours=1)
IDA = {"id": 7, "name": "Ida", "email": "Ida@c.test", "phone": "(212) 555-0123"}
ANN = Actor("Ann")
OUT = ("skipped", "the customer has opted out of messages")
NEW = """
- {{ id: new, when: task.created, then: [{{ notify: "{to}", text: Hello }}] }}
{contacts}
"""
MAIL = "accounting:{{ task.customer.email }}"
TWO_A_DAY = """
- { id: details, when: task.created, accounts: [field], then: [{ notify: customer:details }] }
- { id: mail, when: task.created, then: [{ notify: "accounting:ida@c.test", text: Hello }] }
contacts: { at_most: { per_day: 2 } }
"""


def rules(to: str = MAIL, contacts: str = "") -> str:
    return NEW.format(to=to, contacts=contacts)


async def choose(taskbell: Corridor, *keys: ContactKey, wants: bool = False) -> None:
    """Ann enters what a customer has said."""
    now = taskbell.clock.now()
    await contact_choices.choose(
        taskbell.pool, keys, wants=wants, by=ANN, through=Through.CLI, now=now
    )


async def new_visit(taskbell: Corridor, **fields: Any) -> str:
    visit = taskbell.visit(**{"customer": IDA} | fields)
    await taskbell.webhook(visit)
    return str(visit["id"])


async def outcomes(taskbell: Corridor, rule: str | None = None) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries(rule)]


@pytest.mark.parametrize("to", ["customer:details", MAIL, "sms:{{ task.customer.phone }}"])
@pytest.mark.parametrize(
    "key",
    [
        ContactKey(KeyKind.CUSTOMER, "7", "field"),
        *keys_in("IDA@c.test"),
        *keys_in("+1 212 555 0123"),
    ],
    ids=str,
)
async def test_who_has_opted_out_gets_none_by_any_channel(
    pool: Pool, clock: VirtualClock, folder: Path, to: str, key: ContactKey
) -> None:
    """For any of their addresses, in any notation."""
    async with begun(folder, pool, clock, rules(to)) as taskbell:
        await choose(taskbell, key)
        await new_visit(taskbell)
        await new_visit(taskbell, customer={"id": 8, "name": "Bo", "email": "bo@c.test"})
        await taskbell.deliver()
        assert (await outcomes(taskbell))[0] == OUT
        assert len(taskbell.told + taskbell.accounting.requests) <= 1


async def test_it_holds_in_every_account(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """The address is that of a contact in one, and of another task's customer in the other."""
    async with begun(folder, pool, clock, rules("accounting:IDA@c.test")) as taskbell:
        await choose(taskbell, *keys_in("ida@c.test"))
        taskbell.sandbox.plannr.make(name="Roof")
        await taskbell.poll("london")
        await new_visit(taskbell)
        await taskbell.deliver()
        assert await outcomes(taskbell) == [OUT, OUT]


async def test_the_id_of_a_customer_is_that_of_one_account(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Number 7 in another system is another customer."""
    async with begun(folder, pool, clock, rules()) as taskbell:
        await choose(taskbell, ContactKey(KeyKind.CUSTOMER, "7", "london"))
        await new_visit(taskbell)
        await taskbell.deliver()
        assert await taskbell.states() == ["sent"]


async def test_who_opts_out_while_the_system_is_asked_gets_none(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The message was taken already, and has passed every check once."""
    async with begun(folder, pool, clock, rules("customer:details")) as taskbell:
        await new_visit(taskbell)
        taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.SLOW, method="GET", seconds=0.5))
        under_way = asyncio.create_task(taskbell.deliver("account:field"))
        await eventually(lambda: _is_sending(taskbell))
        await choose(taskbell, *keys_in("ida@c.test"))
        await under_way
        assert (await outcomes(taskbell), taskbell.told) == ([OUT], [])


async def _is_sending(taskbell: Corridor) -> bool:
    return await taskbell.states() == ["sending"]


async def test_the_address_of_now_counts_too(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """The system has a new address of the customer, which has opted out."""
    async with begun(folder, pool, clock, rules("customer:details")) as taskbell:
        number = await new_visit(taskbell)
        await choose(taskbell, *keys_in("ida@new.test"))
        taskbell.sandbox.kickserv.change(number, customer={**IDA, "email": "ida@new.test"})
        await taskbell.deliver()
        assert (await outcomes(taskbell), taskbell.told) == ([OUT], [])


async def test_a_person_cannot_overrule_it(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Nobody can send it by hand until the customer wants messages again."""
    async with begun(folder, pool, clock, rules()) as taskbell:
        for _ in range(2):
            await new_visit(taskbell)
        await operator_actions.cancel(pool, clock, 1, by=ANN)
        await operator_actions.cancel(pool, clock, 2, by=ANN)
        await choose(taskbell, *keys_in("ida@c.test"))
        await operator_actions.retry(pool, clock, 1, by=ANN)
        await taskbell.deliver()
        assert (await outcomes(taskbell))[0] == OUT
        await choose(taskbell, *keys_in("ida@c.test"), wants=True)
        await operator_actions.retry(pool, clock, 2, by=ANN)
        await taskbell.deliver()
        assert (await taskbell.states())[1] == "sent"


async def test_a_correction_is_not_sent_either(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """They opted out after the first message, and its cause is undone."""
    done = """
- { id: done, when: task.completed, then: [{ notify: "slack:@{{ task.customer.email }}",
    text: Done, on_undo: thread }] }
"""
    async with begun(folder, pool, clock, done) as taskbell:
        number = await new_visit(taskbell)
        taskbell.sandbox.kickserv.finish(number)
        await taskbell.poll()
        await taskbell.deliver()
        await choose(taskbell, ContactKey(KeyKind.CUSTOMER, "7", "field"))
        taskbell.sandbox.kickserv.reopen(number)
        await taskbell.tick(minutes=2)
        await taskbell.poll()
        await taskbell.deliver()
        assert (await outcomes(taskbell))[1:] == [OUT]
        assert taskbell.posts == ["Done"]


async def test_colleagues_are_no_customers(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Bo is a customer of the firm as well, and wants nothing as such; his work he gets."""
    async with begun(folder, pool, clock, rules("accounting:bo@x.test")) as taskbell:
        await choose(taskbell, *keys_in("bo@x.test"))
        bo = {"id": 5, "name": "Bo", "email": "bo@x.test"}
        await new_visit(taskbell, employees=[bo])
        await taskbell.deliver()
        assert await taskbell.states() == ["sent"]


async def test_who_has_not_agreed_gets_none(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """With consent: opt_in; colleagues need not agree."""
    wanted = rules(contacts="contacts: { consent: opt_in }")
    async with begun(folder, pool, clock, wanted) as taskbell:
        await new_visit(taskbell)
        await taskbell.deliver()
        not_agreed = "the customer has not agreed to get messages (`consent: opt_in`)"
        assert await outcomes(taskbell) == [("skipped", not_agreed)]
        await choose(taskbell, *keys_in("2125550123"), wants=True)
        await new_visit(taskbell)
        await taskbell.deliver()
        assert (await taskbell.states())[1] == "sent"


async def test_customers_are_left_alone_at_night(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """In the account's time zone, for any rule; colleagues get messages."""
    wanted = rules(contacts='contacts: { hours: "Mo-Su 09:00-20:00" }')
    wanted = wanted.replace("text: Hello }]", "text: Hello }, { notify: accounting:us@x.test }]")
    async with begun(folder, pool, clock, wanted) as taskbell:
        await new_visit(taskbell)
        await taskbell.deliver()
        waits = "outside contact hours: waiting until Fri 6 Mar 2026, 09:00"
        assert await outcomes(taskbell) == [("held", waits), ("sent", None)]
        clock.set(datetime(2026, 3, 6, 14, tzinfo=UTC))
        await taskbell.poll()
        await taskbell.deliver()
        assert await taskbell.states() == ["sent", "sent"]


async def test_one_customer_gets_so_many_a_day(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """By all rules together; the rest waits for the next day. Others are not concerned."""
    async with begun(folder, pool, clock, TWO_A_DAY) as taskbell:
        await new_visit(taskbell)
        await new_visit(taskbell)
        await new_visit(taskbell, customer={"id": 8, "name": "Bo", "email": "bo@c.test"})
        await taskbell.deliver()
        states = await taskbell.states()
        assert (states.count("sent"), states.count("held")) == (4, 2)
        reasons = {reason for state, reason in await outcomes(taskbell) if state == "held"}
        said = "the customer already got 2 messages today: waiting until Sat 7 Mar 2026, 00:00"
        assert reasons == {said}
        clock.set(datetime(2026, 3, 7, 5, 1, tzinfo=UTC))
        await taskbell.poll()
        await taskbell.deliver()
        assert set(await taskbell.states()) == {"sent"}


async def test_a_customer_of_two_accounts_is_one_where_they_say_so(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """By the phone number, in whatever notation; else they are two."""
    wanted = """
- { id: field, when: task.created, accounts: [field], then: [{ notify: customer:details }] }
- { id: london, when: task.created, accounts: [london],
    then: [{ notify: "accounting:{{ task.customer.phone }}", text: Hello }] }
contacts: { at_most: { per_day: 1 }%s }
"""
    async with begun(folder, pool, clock, wanted % ", same_customer_by: [phone]") as taskbell:
        await new_visit(taskbell)
        await taskbell.deliver()
        await _roof(taskbell)
        assert await taskbell.states() == ["sent", "held"]
        await taskbell.restart(wanted % "")
        await _roof(taskbell)
        assert await taskbell.states() == ["sent", "held", "sent"]


async def _roof(taskbell: Corridor) -> None:
    """A new task of Ida in the other system."""
    ida = {"uuid": "an Ida", "name": "Ida", "phone": "+1 (212) 555 0123"}
    taskbell.sandbox.plannr.make(name="Roof", taskable=ida, taskable_type="client")
    await taskbell.poll("london")
    await taskbell.deliver()


async def test_a_message_that_was_not_sent_does_not_count(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The second waits for what becomes of the first, which its task ends."""
    wanted = """
- { id: first, when: task.created, accounts: [field], if: 'task.title != "Secret"',
    then: [{ notify: customer:details }] }
- { id: second, when: task.created, then: [{ notify: "accounting:ida@c.test", text: Hello }] }
contacts: { at_most: { per_day: 1 } }
"""
    async with begun(folder, pool, clock, wanted) as taskbell:
        number = await new_visit(taskbell)
        await taskbell.claim("account:field")
        await taskbell.deliver("accounting")
        assert await taskbell.states() == ["sending", "planned"]
        taskbell.sandbox.kickserv.change(number, name="Secret")
        await pool.execute("UPDATE deliveries SET asking = true WHERE state = 'sending'")
        await taskbell.lose_workers(minutes=1)
        await taskbell.deliver("account:field")
        await taskbell.deliver("accounting")
        assert await taskbell.states() == ["cancelled", "sent"]


WAITS = """
- { id: later, when: task.created, accounts: [field],
    then: [{ wait: 1h }, { notify: customer:details }] }
"""


async def test_the_future_and_the_past_know_who_has_opted_out(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """`next`, the page of what is coming, and a trial of the rule on what has happened."""
    async with begun(folder, pool, clock, WAITS) as taskbell:
        since = clock.now()
        clock.advance(HOUR)
        await new_visit(taskbell)
        assert await foreseen(taskbell, since) == [["sent"], ["sent"], ["sent"]]
        await choose(taskbell, *keys_in("ida@c.test"))
        assert await foreseen(taskbell, since) == [["skipped"], ["skipped"], ["skipped"]]
        await choose(taskbell, *keys_in("ida@c.test"), wants=True)
        assert await foreseen(taskbell, since) == [["sent"], ["sent"], ["sent"]]


async def test_the_future_counts_what_was_sent_today(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """One message has gone out; the other will not today."""
    wanted = """
- { id: now, when: task.created, then: [{ notify: "accounting:ida@c.test", text: Hello }] }
contacts: { at_most: { per_day: 1 }, hours: "Mo-Su 09:00-20:00" }
"""
    async with begun(folder, pool, clock, WAITS + wanted) as taskbell:
        clock.advance(3 * HOUR)
        await new_visit(taskbell)
        await taskbell.deliver()
        later = [at for rule, at in await coming(taskbell) if rule == "later"]
        assert later == [datetime(2026, 3, 7, 14, tzinfo=UTC)]


async def coming(taskbell: Corridor) -> list[tuple[str, datetime | None]]:
    """Which rule sends when, as the page has it; which is what `next` has."""
    config, now = taskbell.config, taskbell.clock.now()
    setting = Setting(config.rules, config.zones, ways(config.kinds))
    found = await foresee(setting, taskbell.pool, now, now + 48 * HOUR, lambda: True)
    told = [(one.request.rule, one.settled_at) for one in in_order(found.deliveries)]
    simulator = Simulator(config.rules, config.zones, ways(config.kinds), now)
    async with taskbell.pool.acquire() as connection, connection.transaction():
        sent = await upcoming(simulator, connection, now + 48 * HOUR)
    assert told == [(one.request.rule, one.settled_at) for one in sent]
    return told


async def foreseen(taskbell: Corridor, since: datetime) -> list[list[str]]:
    """What becomes of the message: by `next`, on the page, and by a trial since then."""
    config, now = taskbell.config, taskbell.clock.now()
    setting = Setting(config.rules, config.zones, ways(config.kinds))
    shown = await foresee(setting, taskbell.pool, now, now + 2 * HOUR, lambda: True)
    simulator = Simulator(config.rules, config.zones, ways(config.kinds), now)
    async with taskbell.pool.acquire() as connection, connection.transaction():
        await upcoming(simulator, connection, now + 2 * HOUR)
    until = now + 2 * HOUR
    tried = await try_rule(config.of_rules, "later", taskbell.pool, since, until, lambda _: None)
    found = (simulator.tx.outbox.deliveries, shown.deliveries, tried.deliveries)
    return [[one.state for one in deliveries] for deliveries in found]
