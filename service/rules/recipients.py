"""Recipients of messages: customers, also those who opted out, and employees."""

import re
from collections.abc import Iterator
from functools import lru_cache

from service.domain.addresses import is_same_number, mails, numbers, plain
from service.domain.model import Customer, Task

EMPLOYEE = "employee"
OPTED_OUT = "the customer has opted out of messages"

_FIELD = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
# The country's code may be left out, or a zero stand in its place.
_TELLING_DIGITS = 9


def reaches_customer(task: Task | None, channel: str, target: str) -> bool:
    """Whether this reaches the task's customer, by its system or at one of their addresses."""
    if channel == "customer":
        return True
    return task is not None and any(is_for(one, target) for one in people(task))


# Most messages go to the same few places.
@lru_cache(1024)
def is_address(target: str) -> bool:
    """Whether a target may be a person's address or number, and not the name of a place."""
    return not target.startswith("#") and any(_reachable(target))


def customer_refusal(task: Task | None, channel: str, target: str) -> str | None:
    """Why this message is not sent: it would reach a customer who opted out. Else None."""
    if task is None or not any(_wants_none(task, one) for one in people(task)):
        return None
    if channel == "customer":
        return OPTED_OUT if task.customer is not None and task.customer.opted_out else None
    refused = (one for one in people(task) if _wants_none(task, one))
    return OPTED_OUT if any(is_for(one, target) for one in refused) else None


def people(task: Task) -> Iterator[Customer]:
    """The customer of a task and all other people it is for."""
    if task.customer is not None:
        yield task.customer
    yield from task.contacts


def _wants_none(task: Task, somebody: Customer) -> bool:
    """Whether they have opted out; a customer may also be listed among the contacts."""
    customer = task.customer
    is_customer = customer is not None and customer.id is not None and customer.id == somebody.id
    return somebody.opted_out or (is_customer and customer is not None and customer.opted_out)


def is_for(somebody: Customer, target: str) -> bool:
    """Whether the target contains one of their addresses or numbers."""
    if not target:
        return False
    own = [plain(text) for text in (somebody.email, somebody.phone) if text]
    named = plain(target)
    if named and named in own:
        return True
    known = {mail for text in own for mail in mails(text)}
    if not known.isdisjoint(mails(named)):
        return True
    called = [number for text in own for number in _telling(text)]
    return any(is_same_number(one, number) for one in _telling(named) for number in called)


def _reachable(text: str) -> Iterator[str]:
    """The mail addresses and phone numbers in a text, in any notation."""
    read = plain(text)
    yield from mails(read)
    yield from numbers(read)


def _telling(text: str) -> Iterator[str]:
    """The last digits of the phone numbers in a plain text."""
    return (digits[-_TELLING_DIGITS:] for digits in numbers(text))


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
