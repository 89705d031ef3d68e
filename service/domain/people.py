"""Identity of people, customers and projects.

Another spelling of a name, a new address, a new phone number or another order is not a change.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from service.domain.directory import folded
from service.domain.model import Customer, Person, Project, Task

_Noun = TypeVar("_Noun", Person, Customer, Project)
_Worker = TypeVar("_Worker", Person, Customer)


def is_same(one: _Noun | None, other: _Noun | None) -> bool:
    """Whether both are the same: by id, or if one has none by address, or by name."""
    if one is None or other is None:
        return one is other
    if one.id is not None and other.id is not None:
        return one.id == other.id
    email, mail = _own_email(one), _own_email(other)
    if email and mail:
        return folded(email) == folded(mail)
    if one.name and other.name:
        return folded(one.name) == folded(other.name)
    return one == other


def are_same(some: Iterable[_Worker], others: Iterable[_Worker]) -> bool:
    """Whether these are the same people, in any order."""
    some, others = tuple(some), tuple(others)
    if all(person.id is not None for person in (*some, *others)):
        return {person.id for person in some} == {person.id for person in others}
    return _covers(some, others) and _covers(others, some)


def picked(people: Sequence[Person], words: Collection[str]) -> Person | None:
    """The one who has one of these words as id, or else as address, or else as name.

    None if there is nobody, or if it is not clear who is meant.
    """
    wanted = {folded(word) for word in words}
    by_id = [one for one in people if one.id in words]
    by_email = [one for one in people if one.email and folded(one.email) in wanted]
    by_name = [one for one in people if one.name and folded(one.name) in wanted]
    found = by_id or by_email or by_name
    return found[0] if len({one.id for one in found}) == 1 else None


def recognised(before: Task, after: Task, others: Sequence[Customer], *, is_part: bool) -> Task:
    """`after` with its people and its project completed from `before`.

    A person who is reported only by an id gets the known name and addresses; with `is_part`, so
    does a person with fewer details. The first assignee stays first as long as they are among the
    assignees. The same holds for the customer, beside whom there may be `others`.
    """
    known = tuple(one for one in (before.assignee, *before.assignees) if one is not None)
    people = [_completed(one, known, is_part=is_part) for one in after.assignees]
    first = _chosen(before.assignee, people) if _is_first(after) else None
    assignee = first or _one_completed(after.assignee, known, is_part=is_part)
    customer = _chosen(before.customer, others) or after.customer
    creator_rules, finishers = (before.author, *known), (before.completed_by, *known)
    return replace(
        after,
        author=_one_completed(after.author, creator_rules, is_part=is_part),
        completed_by=_one_completed(after.completed_by, finishers, is_part=is_part),
        assignee=assignee,
        assignees=_ordered(before, people, assignee),
        customer=_one_completed(customer, (before.customer,), is_part=is_part),
        project=_one_completed(after.project, (before.project,), is_part=is_part),
    )


def _is_first(task: Task) -> bool:
    return bool(task.assignees) and is_same(task.assignee, task.assignees[0])


def _chosen(before: _Worker | None, among: Sequence[_Worker]) -> _Worker | None:
    """The previous one of several, if they are among them."""
    return next((one for one in among if before is not None and is_same(before, one)), None)


def _ordered(before: Task, people: Sequence[Person], assignee: Person | None) -> tuple[Person, ...]:
    """The people in the known order if they are the same ones, else with the assignee first."""
    if are_same(before.assignees, people) and len(before.assignees) == len(people):
        places = [next(one for one in people if is_same(one, last)) for last in before.assignees]
        return tuple(places)
    if assignee is None or not any(one is assignee for one in people):
        return tuple(people)
    return (assignee, *(one for one in people if one is not assignee))


def _one_completed(
    seen: _Noun | None, known: Iterable[_Noun | None], *, is_part: bool
) -> _Noun | None:
    present = [one for one in known if one is not None]
    return None if seen is None else _completed(seen, present, is_part=is_part)


def _completed(seen: _Noun, known: Iterable[_Noun], *, is_part: bool) -> _Noun:
    """The observed person, with the known details that were not reported."""
    told = _reported_details(seen)
    is_reference = not told.keys() - {"id", "opted_out"}
    if not is_part and not is_reference:
        return seen
    for one in known:
        if is_same(seen, one):
            return replace(one, **told)
        if is_reference and _is_called(seen.id, one):
            return one
    return seen


def _reported_details(seen: Person | Customer | Project) -> dict[str, Any]:
    """The reported details of a person. Without a value for it, a person may be contacted."""
    every = {field.name: getattr(seen, field.name) for field in fields(seen) if field.compare}
    return {name: value for name, value in every.items() if value}


def _is_called(word: str | None, one: Person | Customer | Project) -> bool:
    """Whether the value that was given for an id is their name or address."""
    names = {folded(name) for name in (one.name, getattr(one, "email", None)) if name}
    return word is not None and folded(word) in names


def _own_email(one: Person | Customer | Project) -> str | None:
    """The address that the system reported; one from a directory may change at any time."""
    if isinstance(one, Project) or "email" in getattr(one, "from_directory", ()):
        return None
    return one.email


def _covers(some: Sequence[_Worker], others: Sequence[_Worker]) -> bool:
    return all(any(is_same(one, other) for other in others) for one in some)
