"""A directory of people: adds details that a system does not report, such as their addresses.

Added details stay marked (`Person.from_directory`), so that the system's own values take
precedence, and a changed directory replaces the values of an earlier one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import orjson

from service.domain.addresses import is_same_number, numbers
from service.domain.model import NOUNS, Person, Task

GIVES = ("name", "email", "number", "phone")
SLACK_ID = "slack"  # no field of a task's people: only an answer in Slack is from somebody with one
PEOPLE = tuple(name for name, noun in NOUNS.items() if noun is Person)


@dataclass(frozen=True)
class Directory:
    """People by their ids or names, as their systems have them.

    `slack` has the keys of entries by the ids of the people in Slack.
    """

    entries: Mapping[str, Person] = field(default_factory=dict)
    slack: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> bytes:
        """The same for the same directory; empty for an empty one."""
        if not self.entries:
            return b""
        written = orjson.dumps(self.entries, option=orjson.OPT_SORT_KEYS)
        return blake2b(written, digest_size=8).digest()

    def names_of(self, who: Person, slack_id: str = "") -> list[str]:
        """The ids, addresses and names of somebody who is known by an address or a number.

        Those that were given, and those of the entries with the same address, phone number or id in
        Slack, each with its key.
        """
        found = [key for key, one in self.entries.items() if _is_reached(one, who)]
        if slack_id in self.slack:
            found.append(self.slack[slack_id])
        known = [(key, self.entries[key].email, self.entries[key].name) for key in found]
        return [word for words in [(who.email,), *known] for word in words if word]

    def filled(self, task: Task) -> Task:
        """The task with the directory's details of its people that their system did not report."""
        if not self.entries:
            return as_reported(task)
        people = {name: self._filled(getattr(task, name)) for name in PEOPLE}
        assignees = tuple(self._one_filled(one) for one in task.assignees)
        return _with(task, people, assignees)

    def _filled(self, person: Person | None) -> Person | None:
        return None if person is None else self._one_filled(person)

    def _one_filled(self, person: Person) -> Person:
        told = _as_reported(person)
        known = self._entry(told)
        missing = {} if known is None else _missing(told, known)
        return replace(told, **missing, from_directory=tuple(missing)) if missing else told

    def _entry(self, person: Person) -> Person | None:
        """The person with this id, or this name; some systems write a name in place of an id."""
        if person.id is not None and person.id in self.entries:
            return self.entries[person.id]
        words = [folded(word) for word in (person.name, person.id) if word is not None]
        found = next((self._by_key[word] for word in words if word in self._by_key), None)
        # A person with another id is another person of the same name.
        is_sure = len(words) == 1
        return self._by_name.get(words[0]) if found is None and is_sure else found

    @cached_property
    def _by_key(self) -> dict[str, Person]:
        return {folded(key): one for key, one in self.entries.items()}

    @cached_property
    def _by_name(self) -> dict[str, Person]:
        """People with a unique name: if two have the same name, it is ambiguous."""
        named = [(folded(one.name), one) for one in self.entries.values() if one.name is not None]
        count = Counter(name for name, _ in named)
        return {name: one for name, one in named if count[name] == 1}


NOBODY = Directory()


def as_reported(task: Task) -> Task:
    """The task as its system reported it, without details from a directory."""
    if not any(one.from_directory for one in _people(task)):
        return task
    people = {name: _none_or_reported(getattr(task, name)) for name in PEOPLE}
    return _with(task, people, tuple(_as_reported(one) for one in task.assignees))


def _people(task: Task) -> Iterator[Person]:
    yield from task.assignees
    for name in PEOPLE:
        if (person := getattr(task, name)) is not None:
            yield person


def folded(text: str) -> str:
    """A name in a form that does not depend on its spelling."""
    return text.strip().casefold()


def _is_reached(entry: Person, who: Person) -> bool:
    """Whether somebody is reached by the address or the number of this entry."""
    if entry.email and who.email and folded(entry.email) == folded(who.email):
        return True
    theirs = list(numbers(who.phone or ""))
    return any(is_same_number(one, other) for one in numbers(entry.phone or "") for other in theirs)


def _none_or_reported(person: Person | None) -> Person | None:
    return None if person is None else _as_reported(person)


def _as_reported(person: Person) -> Person:
    if not person.from_directory:
        return person
    return replace(person, from_directory=(), **dict.fromkeys(person.from_directory))


def _missing(told: Person, known: Person) -> dict[str, str]:
    absent = (name for name in GIVES if not getattr(told, name))
    return {name: value for name in absent if (value := getattr(known, name))}


def _with(task: Task, people: Mapping[str, Person | None], assignees: tuple[Person, ...]) -> Task:
    """The task with these people; the same object if they are unchanged."""
    others: dict[str, Any] = {
        name: one for name, one in people.items() if one is not getattr(task, name)
    }
    if any(one is not last for one, last in zip(assignees, task.assignees, strict=True)):
        return replace(task, **others, assignees=assignees)
    return replace(task, **others) if others else task
