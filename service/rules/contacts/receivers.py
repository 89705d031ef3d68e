"""The recipients of a message, with all keys of these customers. Pure functions."""

from collections.abc import Iterable

from service.domain.contacts import NOBODY, Keys, Receivers, keys_in, keys_of
from service.domain.model import Customer, Task
from service.rules.recipients import is_address, is_for, people


def receivers(channel: str, target: str, tasks: Iterable[Task]) -> Receivers:
    """The recipients of a message about these tasks.

    By the system's own messages it is the customer; else all people of the tasks at whose address
    it is aimed. The other addresses of the target belong to nobody known; those of people who are
    assigned to a task are left out, because they get messages as colleagues.
    """
    if channel != "customer" and not is_address(target):
        return NOBODY
    customers: dict[Keys, None] = {}
    colleagues: Keys = frozenset()
    for task in tasks:
        reached = _customer(task) if channel == "customer" else _reached(task, target)
        customers |= dict.fromkeys(keys_of(one, task.account) for one in reached)
        colleagues |= _colleagues(task)
    known = frozenset().union(*customers)
    others = frozenset() if channel == "customer" else keys_in(target) - colleagues
    return Receivers(tuple(one for one in customers if one), others - known)


def _customer(task: Task) -> list[Customer]:
    return [] if task.customer is None else [task.customer]


def _reached(task: Task, target: str) -> list[Customer]:
    return [one for one in people(task) if is_for(one, target)]


def _colleagues(task: Task) -> Keys:
    staff = [one for one in (task.assignee, *task.assignees) if one is not None]
    addresses = (text for one in staff for text in (one.email, one.phone) if text)
    return frozenset().union(*map(keys_in, addresses))
