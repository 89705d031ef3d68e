"""What a system tells of its tasks, and what it wants to be told: facts that rules are checked by.

Each source declares its own (`Source.facts`). Fields are named as in rules, without `task.`:
`title`, `assignee.email`. `tests/contract/test_sources_facts.py` holds the declarations to what
the sources read and write.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Words:
    """The only values that a field can have: words, and numbers where `numbers` is set."""

    known: frozenset[str]
    numbers: bool = False

    def has(self, value: str) -> bool:
        return value in self.known or (self.numbers and value.isdecimal())


@dataclass(frozen=True, slots=True)
class Facts:
    """What one system, or one account of it, can fill and needs.

    - `fills`: the fields that a task can have; all others are always empty
    - `when_done`: those that every task has that is done
    - `words`: the only values of a field, where they are known
    - `remedies`: what to give the account so that a field is filled, or has other words
    - `sets`: what `create_task` and `update_task` can write
    - `needs`: what `create_task` has to write, and what the account's `create:` calls it
    """

    fills: frozenset[str]
    when_done: frozenset[str] = frozenset()
    words: Mapping[str, Words] = field(default_factory=dict)
    remedies: Mapping[str, str] = field(default_factory=dict)
    sets: frozenset[str] = frozenset()
    needs: Mapping[str, str] = field(default_factory=dict)

    def and_fills(self, *names: str) -> "Facts":
        """The same with further fields."""
        return replace(self, fills=self.fills.union(names))

    def and_knows(self, **words: Words) -> "Facts":
        """The same with these words of a field."""
        return replace(self, words={**self.words, **words})

    def and_gives(self, names: Mapping[str, object]) -> "Facts":
        """The same where what new tasks get is given by the account, under the system's names."""
        needs = {word: own for word, own in self.needs.items() if names.get(own) in (None, "")}
        return replace(self, needs=needs)


def inside(noun: str, *names: str) -> frozenset[str]:
    """The fields of a noun inside of a task, and the noun itself: `inside("project", "id")`."""
    return frozenset({noun, *(f"{noun}.{name}" for name in names)})
