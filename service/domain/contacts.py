"""How customers are recognised, and whether they want messages. Pure functions.

Choices are made for keys: the id of a customer in an account, a mail address, a phone number. A
person has several keys; one key that was opted out is enough for them to get no messages.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from service.domain.addresses import is_same_number, mails, numbers, plain
from service.domain.model import Customer

_TELLING_DIGITS = 6
_SHORTEST_NUMBER = 8  # digits; in a shorter one the area is missing


class KeyKind(StrEnum):
    """What a customer can be recognised by."""

    CUSTOMER = "customer"
    EMAIL = "email"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class ContactKey:
    """An identifier of a customer, in one notation.

    `value` is the id of a customer in `account`, or a mail address in small letters with its domain
    in ASCII, or the digits of a phone number without leading zeros. Addresses and numbers are those
    of all accounts, unless they have an `account`.
    """

    kind: KeyKind
    value: str
    account: str = ""

    @property
    def lookup(self) -> str:
        """The part of the value by which an index finds it, in whatever way it is written."""
        return self.value[-_TELLING_DIGITS:] if self.kind is KeyKind.PHONE else self.value

    def means(self, other: "ContactKey") -> bool:
        """Whether both are the same; of a phone number the country's code may be left out."""
        if (self.kind, self.account) != (other.kind, other.account):
            return False
        if self.kind is KeyKind.PHONE:
            return is_same_number(self.value, other.value)
        return self.value == other.value

    def __str__(self) -> str:
        where = f" in {self.account}" if self.account else ""
        return f"customer {self.value}{where}" if self.kind is KeyKind.CUSTOMER else self.value


class NotOneKeyError(ValueError):
    """What a person has named is not one customer; the message says what to write."""


Keys: TypeAlias = frozenset[ContactKey]
"""All keys of one person."""


def keys_in(text: str) -> Keys:
    """The keys of the mail addresses and phone numbers in a text."""
    read = plain(text)
    found = [ContactKey(KeyKind.EMAIL, one) for one in mails(read)]
    return frozenset(found) | {ContactKey(KeyKind.PHONE, one) for one in numbers(read)}


def keys_of(somebody: Customer, account: str) -> Keys:
    """The keys of a customer of this account."""
    found = frozenset[ContactKey]().union(
        *(keys_in(one) for one in (somebody.email, somebody.phone) if one)
    )
    if somebody.id is None:
        return found
    return found | {ContactKey(KeyKind.CUSTOMER, somebody.id, account)}


def key_named(address: str, customer: str, account: str) -> ContactKey:
    """The key that a person has named: one address, or a customer's id with its account.

    Raises NotOneKeyError.
    """
    if customer and account and not address:
        return ContactKey(KeyKind.CUSTOMER, customer, account)
    if not address or customer or account:
        raise NotOneKeyError("name either an address, or a customer's id together with the account")
    found = keys_in(address)
    if len(found) != 1:
        raise NotOneKeyError(f"{address} is not one mail address or phone number")
    [key] = found
    if key.kind is KeyKind.PHONE and len(key.value) < _SHORTEST_NUMBER:
        raise NotOneKeyError(f"{address} is short: write the number with its area code")
    return key


@dataclass(frozen=True, slots=True)
class Receivers:
    """The recipients of a message: the keys of each customer, and of unknown addresses."""

    customers: tuple[Keys, ...] = ()
    others: Keys = frozenset()

    @property
    def keys(self) -> Keys:
        return self.others.union(*self.customers)

    def __add__(self, more: "Receivers") -> "Receivers":
        customers = tuple(dict.fromkeys((*self.customers, *more.customers)))
        known = frozenset[ContactKey]().union(*customers)
        return Receivers(customers, (self.others | more.others) - known)


NOBODY = Receivers()


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice for a key: whether this customer wants messages, and since when (UTC)."""

    key: ContactKey
    wants: bool
    at: datetime


class Choices:
    """Choices, found by their keys.

    `are_all_asked`: a customer without a choice counts as having agreed, as in a simulation that
    does not know the choices.
    """

    def __init__(self, choices: Iterable[Choice] = (), *, are_all_asked: bool = False) -> None:
        self._found: dict[str, list[Choice]] = defaultdict(list)
        self.are_all_asked = are_all_asked
        for one in choices:
            self._found[one.key.lookup].append(one)

    def refuses(self, receivers: Receivers, now: datetime) -> Choice | None:
        """The choice of somebody among the receivers who wants no messages; None if all do."""
        chosen = (one for key in sorted(receivers.keys, key=str) for one in self._of(key, now))
        return next((one for one in chosen if not one.wants), None)

    def agree(self, receivers: Receivers, now: datetime) -> bool:
        """Whether every customer among the receivers has agreed to get messages."""
        return self.are_all_asked or all(
            any(one.wants for key in customer for one in self._of(key, now))
            for customer in receivers.customers
        )

    def _of(self, key: ContactKey, now: datetime) -> Iterator[Choice]:
        known = self._found.get(key.lookup, ())
        return (one for one in known if one.key.means(key) and one.at <= now)


class SentCounts:
    """Messages that reached customers: the id of each, the keys of its customer, and when (UTC)."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[ContactKey, int, datetime]]] = defaultdict(list)

    def add(self, message: int, customer: Keys, at: datetime) -> None:
        for key in customer:
            self._found[key.lookup].append((key, message, at))

    def messages(self, customer: Keys, since: datetime) -> frozenset[int]:
        """The ids of those that reached this customer since then."""
        return frozenset(
            message
            for key in customer
            for known, message, at in self._found.get(key.lookup, ())
            if at >= since and known.means(key)
        )
