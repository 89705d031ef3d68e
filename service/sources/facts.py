"""Which task fields a system provides and requires: facts that rules are checked by.

Each source declares its own (`Source.facts`). Fields are named as in rules, without `task.`:
`title`, `assignee.email`. `tests/contract/test_sources_facts.py` compares the declarations with the
code of the sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Words:
    """The only possible values of a field: words, and numbers if `numbers` is set."""

    known: frozenset[str]
    numbers: bool = False

    def has(self, value: str) -> bool:
        return value in self.known or (self.numbers and value.isdecimal())


@dataclass(frozen=True, slots=True)
class Facts:
    """The fields that one system, or one account of it, can fill and requires.

    - `fills`: the fields that a task can have; all others are always empty
    - `when_done`: fields that every done task has
    - `words`: the only possible values of a field, if they are known
    - `remedies`: the account option that fills a field, or gives it other words
    - `sets`: what `create_task` and `update_task` can write
    - `needs`: fields that `create_task` must write, and their names in the account's `create:`
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

    def and_links(self, *, given: bool) -> "Facts":
        """The same if the account has a pattern for `url`, else with a word on how to give one."""
        remedy = "add url: with the address of a task's page to the account"
        found = self.and_fills("url") if given else self
        return replace(found, remedies={"url": remedy, **self.remedies})

    def and_gives(self, names: Mapping[str, object]) -> "Facts":
        """The same if the account provides these fields for new tasks, under the system's names."""
        needs = {word: own for word, own in self.needs.items() if names.get(own) in (None, "")}
        return replace(self, needs=needs)


def inside(noun: str, *names: str) -> frozenset[str]:
    """The fields of an object in a task, and the object itself: `inside("project", "id")`."""
    return frozenset({noun, *(f"{noun}.{name}" for name in names)})
