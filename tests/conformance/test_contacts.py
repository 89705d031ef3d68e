"""Customers: who wants no messages, who has agreed, at which hours, and how many a day."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.domain.contacts import Choice, ContactKey, KeyKind, keys_in
from service.domain.model import Kind, State
from service.domain.opening_hours import Hours
from service.rules.contacts.policy import ContactsPolicy
from tests.conformance.requests import request
from tests.conformance.storages import LONDON, PARIS, Storage
from tests.harness.tasks import SMITH, START, task

HOUR = timedelta(hours=1)
OUT = (State.SKIPPED, "the customer has opted out of messages")
BY_PHONE = frozenset({"phone"})


def choice(key: ContactKey, *, wants: bool = False) -> Choice:
    return Choice(key, wants, START - HOUR)


async def place(
    storage: Storage, target: str = "smith@x.test", account: str = LONDON, **fields: Any
) -> None:
    """A rule has a message sent to this address, about a task of Smith."""
    number = f"T{len(await storage.deliveries()) + 1}"
    about = task(number, account, customer=replace(SMITH, **fields))
    await storage.know(about)
    event = await storage.happen(Kind.CHANGED, number, account, after=about)
    channel = "customer" if target == "details" else "mail"
    await storage.tx.outbox.place([request(event, channel=channel, target=target)], START)


async def outcomes(storage: Storage) -> list[tuple[State, str | None]]:
    return [(one.state, one.reason) for one in await storage.deliveries()]


async def states(storage: Storage) -> list[State]:
    return [state for state, _ in await outcomes(storage)]


@pytest.mark.parametrize("target", ["details", "smith@x.test", "555-0100 123"])
async def test_who_wants_no_messages_gets_none(storage: Storage, target: str) -> None:
    """By whichever of their addresses; a colleague at the same time gets theirs."""
    await storage.choose(choice(ContactKey(KeyKind.CUSTOMER, "c1", LONDON)))
    await place(storage, target, phone="+1 555 0100 123")
    await place(storage, "bo@x.test")
    await storage.send(START)
    assert await outcomes(storage) == [OUT, (State.SENT, None)]


async def test_a_number_is_known_in_any_notation(storage: Storage) -> None:
    """With or without the country code; another area code is another person."""
    [key] = keys_in("(212) 555-0123")
    await storage.choose(choice(key))
    await place(storage, phone="+1 212.555.0123")
    await place(storage, phone="+1 312 555 0123")
    await storage.send(START)
    assert await states(storage) == [State.SKIPPED, State.SENT]


async def test_one_address_is_enough(storage: Storage) -> None:
    """Of a customer one address wants messages and another none: they get none."""
    [mail], [number] = keys_in("smith@x.test"), keys_in("+1 555 0100 123")
    await storage.choose(choice(mail, wants=True), choice(number))
    await place(storage, phone="+1 555 0100 123")
    await storage.send(START)
    assert await outcomes(storage) == [OUT]


async def test_who_has_to_agree_first(storage: Storage) -> None:
    """A customer who agreed gets messages at any address; others get none."""
    storage.contacts = ContactsPolicy(asks_first=True)
    [mail] = keys_in("smith@x.test")
    await storage.choose(choice(mail, wants=True))
    await place(storage, "details")
    await place(storage, "other@x.test", email="other@x.test", phone=None)
    await storage.send(START)
    assert await states(storage) == [State.SENT, State.SKIPPED]


async def test_customers_get_messages_at_their_hours(storage: Storage) -> None:
    """By the zone of the account: in Paris it is an hour later."""
    storage.contacts = ContactsPolicy(hours=Hours("texting", "Mo-Su 13:00-20:00"))
    for account in (LONDON, PARIS):
        await place(storage, account=account)
    await storage.send(START)
    waits = "outside texting hours: waiting until Fri 6 Mar 2026, 13:00"
    assert await outcomes(storage) == [(State.HELD, waits), (State.SENT, None)]
    await storage.send(START + HOUR)
    assert await states(storage) == [State.SENT, State.SENT]


async def test_what_is_too_much_waits_for_the_next_day(storage: Storage) -> None:
    """The first one goes out; what is due later the same day waits as well."""
    storage.contacts = ContactsPolicy(per_day=1)
    await place(storage)
    await storage.send(START)
    await place(storage, "details")
    await storage.send(START + HOUR)
    said = "the customer already got 1 message today: waiting until Sat 7 Mar 2026, 00:00"
    assert await outcomes(storage) == [(State.SENT, None), (State.HELD, said)]
    await storage.send(START + 12 * HOUR)
    assert await states(storage) == [State.SENT, State.SENT]


async def test_what_is_due_at_once_is_counted_one_by_one(storage: Storage) -> None:
    """The second one waits for what becomes of the first."""
    storage.contacts = ContactsPolicy(per_day=1)
    for target in ("smith@x.test", "details"):
        await place(storage, target)
    for seconds in (0, 5):
        await storage.send(START + timedelta(seconds=seconds))
    assert await states(storage) == [State.SENT, State.HELD]


@pytest.mark.parametrize(("same_by", "second"), [(BY_PHONE, State.HELD), (frozenset(), State.SENT)])
async def test_one_customer_in_two_accounts(
    storage: Storage, same_by: frozenset[Any], second: State
) -> None:
    """Recognised by the number only where the operator says so."""
    storage.contacts = ContactsPolicy(per_day=1, same_by=same_by)
    await place(storage, id="a", phone="+44 7700 900123")
    await place(storage, account=PARIS, id="b", phone="07700 900123")
    for seconds in (0, 5):
        await storage.send(START + timedelta(seconds=seconds))
    assert await states(storage) == [State.SENT, second]


async def test_a_customer_is_counted_by_their_id(storage: Storage) -> None:
    """At any address; without an id, by their addresses in the account."""
    storage.contacts = ContactsPolicy(per_day=1)
    await place(storage, "one@x.test", email="one@x.test", phone=None)
    await place(storage, "two@x.test", email="two@x.test", phone=None)
    for account in (LONDON, LONDON, PARIS):
        await place(storage, account=account, id=None)
    for seconds in (0, 5):
        await storage.send(START + timedelta(seconds=seconds))
    first, second, third, fourth, elsewhere = await states(storage)
    assert (first, second) == (State.SENT, State.HELD)
    assert (third, fourth, elsewhere) == (State.SENT, State.HELD, State.SENT)
