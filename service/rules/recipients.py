"""Recipients of messages: customers, also those who opted out, and employees."""

import re
from collections.abc import Iterator
from functools import lru_cache
from unicodedata import category, normalize

from service.domain.model import Customer, Task

EMPLOYEE = "employee"
OPTED_OUT = "the customer has opted out of messages"

_MAIL = re.compile(r"""[^\s,;:<>()|/"@]+@[^\s,;:<>()|/"'@]+""")
_NUMBER = re.compile(r"(?<!\w)\d(?:[\s().\u2010-\u2015-]*\d)*")
_NO_DIGIT = re.compile(r"\D+")
_FIELD = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_LONGEST_READ = 2000
_SHORTEST_NUMBER = 6  # digits; what is shorter may be the name of anything
# The country's code may be left out, or a zero stand in its place.
_TELLING_DIGITS = 9


def reaches_customer(task: Task | None, channel: str, target: str) -> bool:
    """Whether this reaches the task's customer, by its system or at one of their addresses."""
    if channel == "customer":
        return True
    return task is not None and any(_is_for(one, target) for one in _people(task))


# Most messages go to the same few places.
@lru_cache(1024)
def is_address(target: str) -> bool:
    """Whether a target may be a person's address or number, and not the name of a place."""
    return not target.startswith("#") and any(_reachable(target))


def customer_refusal(task: Task | None, channel: str, target: str) -> str | None:
    """Why this message is not sent: it would reach a customer who opted out. Else None."""
    if task is None or not any(_wants_none(task, one) for one in _people(task)):
        return None
    if channel == "customer":
        return OPTED_OUT if task.customer is not None and task.customer.opted_out else None
    refused = (one for one in _people(task) if _wants_none(task, one))
    return OPTED_OUT if any(_is_for(one, target) for one in refused) else None


def _people(task: Task) -> Iterator[Customer]:
    """The customer of a task and all other people it is for."""
    if task.customer is not None:
        yield task.customer
    yield from task.contacts


def _wants_none(task: Task, somebody: Customer) -> bool:
    """Whether they have opted out; a customer may also be listed among the contacts."""
    customer = task.customer
    is_customer = customer is not None and customer.id is not None and customer.id == somebody.id
    return somebody.opted_out or (is_customer and customer is not None and customer.opted_out)


def _is_for(somebody: Customer, target: str) -> bool:
    """Whether the target contains one of their addresses or numbers."""
    if not target:
        return False
    own = [_plain(text) for text in (somebody.email, somebody.phone) if text]
    named = _plain(target)
    if named and named in own:
        return True
    mails = {mail for text in own for mail in _mails(text)}
    if not mails.isdisjoint(_mails(named)):
        return True
    numbers = [number for text in own for number in _numbers(text)]
    return any(_is_same(one, number) for one in _numbers(named) for number in numbers)


def _plain(text: str) -> str:
    """A text in lower case, with normal-width letters and without invisible characters."""
    text = text[:_LONGEST_READ]
    if not text.isascii():
        text = "".join(c for c in normalize("NFKC", text) if category(c) != "Cf")
    return text.strip().casefold()


def _reachable(text: str) -> Iterator[str]:
    """The mail addresses and phone numbers in a text, in any notation."""
    plain = _plain(text)
    yield from _mails(plain)
    yield from _numbers(plain)


def _mails(plain: str) -> Iterator[str]:
    for found in _MAIL.findall(plain):
        local, _, domain = found.lstrip("'").rstrip(".").rpartition("@")
        yield f"{local}@{_in_ascii(domain)}"


def _in_ascii(domain: str) -> str:
    try:
        return domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return domain


def _numbers(plain: str) -> Iterator[str]:
    """The numbers, without leading zeros, which stand for a country or a region."""
    for found in _NUMBER.findall(plain):
        digits = _NO_DIGIT.sub("", found).lstrip("0")
        if len(digits) >= _SHORTEST_NUMBER:
            yield digits[-_TELLING_DIGITS:]


def _is_same(one: str, other: str) -> bool:
    return one.endswith(other) or other.endswith(one)


def nobody(target: str) -> str:
    """Why there is nobody to send to: all `{{ … }}` of the target, as it is written, are empty."""
    fields = " and ".join(f"`{name}`" for name in _FIELD.findall(target)) or target
    says = f"nobody to send to: {fields} is empty for this task. Enter it in the system"
    or_else = ", or ask your developer to add the person under `people`"
    return says + (or_else if "assignee" in fields else "")


def employee_refusal(task: Task | None, channel: str) -> str | None:
    """Why no employee can be notified about this task; None if one can, or for other channels."""
    if channel != EMPLOYEE or task is None or task.assignee is not None or task.assignees:
        return None
    return "nobody to send to: no one is assigned to the task"
