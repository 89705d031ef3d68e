"""`lists`: values from files beside the configuration, for conditions: `… in lists.vip`.

CEL would copy a list for each evaluation. So a condition is evaluated with a function in its place,
which looks the value up here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

from service.diagnostics import Issue, Path, did_you_mean
from service.rules.language.syntax_tree import Tree, dotted, node_kind, walk

LISTS = "lists"
FUNCTION = "listed"
_HINT = "write for example task.customer.email in lists.NAME, or … in lists.NAME.COLUMN"
_STRING = r"""[rR]?"(?:\\.|[^"\\])*"|[rR]?'(?:\\.|[^'\\])*'"""
_USE = re.compile(
    rf"""(?P<value>[A-Za-z_][\w.]*(?:\[(?:{_STRING})\])*)\s+in\s+lists\.(?P<name>\w+)(?:\.(?P<column>\w+))?"""
    rf"|{_STRING}"
)


class Column:
    """The values of a column, in small letters and without spaces around; never empty.

    Those with the same values are one object (`of`), which is there as long as one of the
    expressions that read it.
    """

    def __init__(self, values: frozenset[str], key: str) -> None:
        self.values = values
        self.key = key

    @classmethod
    def of(cls, values: frozenset[str]) -> "Column":
        key = blake2b("\n".join(sorted(values)).encode(), digest_size=16).hexdigest()
        known = _COLUMNS.get(key)
        if known is None:
            known = _COLUMNS[key] = cls(values, key)
        return known


_COLUMNS: WeakValueDictionary[str, Column] = WeakValueDictionary()
"""By their keys; kept by the expressions that read them."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedLists:
    """The columns of each list by their names; the first column also by the name `""`.

    `unread` are the lists that could not be read: every column of them is assumed to exist.
    """

    lists: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()


NO_LISTS = NamedLists(MappingProxyType({}))


def is_listed(value: str, key: str) -> bool:
    """Whether a value is in the column with this key; capital letters make no difference."""
    return value.strip().casefold() in _COLUMNS[key].values


def is_number_listed(value: float, key: str) -> bool:
    """The same for a number, such as that of a contract in a custom field: 17 is `17` there."""
    is_whole = isinstance(value, int) or value.is_integer()
    return is_listed(str(int(value) if is_whole else value), key)


def with_lookups(text: str, lists: NamedLists) -> str:
    """The text of a checked expression with a function in place of each list."""
    return _USE.sub(lambda found: _lookup(found, lists), text)


def single_lookups(text: str, lists: NamedLists) -> Iterator[tuple[int, str]]:
    """For each list that an expression names: where, and the text with a function for it alone."""
    for found in _USE.finditer(text):
        if found["name"] is not None:
            yield found.start(), text[: found.start()] + _lookup(found, lists) + text[found.end() :]


def _lookup(found: re.Match[str], lists: NamedLists) -> str:
    name = found["name"]
    if name is None or name not in lists.lists:
        return found[0]
    column = lists.lists[name][found["column"] or ""]
    return f'{FUNCTION}({found["value"]}, "{column.key}")'


def misuses(text: str, tree: Tree, lists: NamedLists, path: Path) -> Iterator[Issue]:
    """The problems with the lists that an expression names."""
    uses = [found for found in _USE.finditer(text) if found["name"] is not None]
    named = list(_roots(tree.root))
    if len(named) != len(uses):
        offset = tree.offset(named[0]) if named else 0
        yield Issue(
            path, f"{LISTS} can be used only to ask whether a field is in one", _HINT, offset
        )
        return
    for use in uses:
        name, column = str(use["name"]), use["column"]
        known = lists.lists.get(name)
        if known is None and name not in lists.unread:
            hint = did_you_mean(name, lists.lists) or "add lists: { vip: vip.csv } to the file"
            yield Issue(path, f"there is no list {name}", hint, use.start("name"))
        elif known is not None and column and column not in known:
            words = did_you_mean(column, set(known) - {""})
            yield Issue(path, f"list {name} has no column {column}", words, use.start("column"))


def _roots(node: Any) -> Iterator[Any]:
    """Each place where `lists` is named."""
    return (one for one in walk(node) if node_kind(one) == "ident" and dotted(one) == LISTS)
