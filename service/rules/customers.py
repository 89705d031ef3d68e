"""Messages that reach the customer of a task, by whichever way, and those who want none."""

import re
from collections.abc import Iterator

from service.model import Customer, Task

OPTED_OUT = "the customer has opted out of messages"

_BETWEEN_ADDRESSES = re.compile(r"[\s,;<>]+")
_NO_DIGIT = re.compile(r"\D+")
_LETTER = re.compile("[a-z]", re.IGNORECASE)
_SHORTEST_NUMBER = 6  # digits; what is shorter may be the name of anything


def reaches_customer(task: Task | None, channel: str, target: str) -> bool:
    """Whether this is told to the task's customer: by its system, or at their own address."""
    if channel == "customer":
        return True
    customer = None if task is None else task.customer
    if customer is None:
        return False
    return not _names(target).isdisjoint(_addresses(customer))


def is_address(target: str) -> bool:
    """Whether a target may be somebody's own address or number, and not the name of a place."""
    return "@" in target.lstrip("@") or bool(_digits(target))


def refusal(task: Task | None, channel: str, target: str) -> str | None:
    """Why this is not sent: it would reach a customer who wants no messages. Else None."""
    if task is None or task.customer is None or not task.customer.opted_out:
        return None
    return OPTED_OUT if reaches_customer(task, channel, target) else None


def _names(target: str) -> frozenset[str]:
    """The addresses and the number that a target has, each as `_addresses` writes it."""
    parts = _BETWEEN_ADDRESSES.split(target.casefold())
    return frozenset({*filter(None, parts), _digits(target)} - {""})


def _addresses(customer: Customer) -> Iterator[str]:
    if customer.email:
        yield customer.email.strip().casefold()
    if customer.phone and (digits := _digits(customer.phone)):
        yield digits


def _digits(text: str) -> str:
    """The number in a text, if there is nothing else in it; else an empty text."""
    digits = "" if _LETTER.search(text) else _NO_DIGIT.sub("", text)
    return digits if len(digits) >= _SHORTEST_NUMBER else ""
