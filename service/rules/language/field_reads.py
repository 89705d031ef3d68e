"""Which fields of `task`, `before` and `event` expressions read: only those are converted."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from service.rules.language.syntax_tree import children, dotted, node_kind
from service.rules.language.vocabulary import NOUNS, names

Reads: TypeAlias = frozenset[tuple[str, str]]
ByNoun: TypeAlias = Mapping[str, frozenset[str]]


def reads(node: Any) -> Iterator[tuple[str, str]]:
    """Every (noun, field) in an expression; a noun taken as a whole is all its fields."""
    names_read = (dotted(node) or "").split(".")
    if names_read[0] in NOUNS and node_kind(node) in {"select", "ident"}:
        noun = names_read[0]
        fields = names_read[1:2] or names(NOUNS[noun])
        yield from ((noun, field) for field in fields)
        return
    for child in children(node):
        yield from reads(child)


def all_of(several: Iterable[Reads]) -> Reads:
    """What several expressions read together."""
    return frozenset[tuple[str, str]]().union(*several)


def by_noun(several: Iterable[Reads]) -> ByNoun:
    """The fields that several expressions read together, by noun."""
    together = all_of(several)
    return {
        noun: frozenset(field for one, field in together if one == noun)
        for noun in {noun for noun, _ in together}
    }
