"""Reads `lists: { vip: vip.csv }`: values for conditions, from files beside the configuration."""

import csv
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any
from unicodedata import combining, normalize

from pydantic_core import PydanticCustomError

from service.diagnostics import Issue, Path, Severity
from service.document.files import Folder
from service.document.messages import must_be
from service.rules.language.named_lists import Column, NamedLists

_PART = "lists"
_MOST_ROWS = 20_000
_MOST_FAULTS = 10
_NAME = re.compile(r"[A-Za-z_]\w*")
_NOT_IN_NAMES = re.compile(r"\W+")
_SEPARATORS = ",;\t"


def read_lists(written: Mapping[str, Any], folder: Folder) -> tuple[NamedLists, list[Issue]]:
    """The lists, and their problems, with the line of the file."""
    found: dict[str, Mapping[str, Column]] = {}
    problems: list[Issue] = []
    for name, file in written.items():
        columns, wrong = _read(name, file, folder)
        problems += wrong
        if columns is not None:
            found[name] = columns
    return NamedLists(found, frozenset(written.keys() - found.keys())), problems


def _read(name: str, file: Any, folder: Folder) -> tuple[Mapping[str, Column] | None, list[Issue]]:
    path: Path = (_PART, name)
    if not _NAME.fullmatch(name):
        message = f'"{name}" cannot be the name of a list: conditions write lists.NAME'
        return None, [Issue(path, message, "use letters, digits and underscores", at_key=True)]
    if not isinstance(file, str):
        return None, [Issue(path, must_be(name, "the name of a file, such as vip.csv", file))]
    try:
        text = folder.text(file)
    except PydanticCustomError as error:
        said = error.context or {}
        return None, [Issue(path, said["message"], said["hint"])]
    return _parsed(text, path, folder.place(file))


def _parsed(text: str, path: Path, file: str) -> tuple[Mapping[str, Column] | None, list[Issue]]:
    """The columns of a CSV text, which begins with their names."""
    table = _Table(text)
    if table.faults:
        return None, [
            Issue(path, message, hint, _offset(text, line), file=file)
            for line, message, hint in table.faults
        ]
    named = {name: _column(table, number) for number, name in enumerate(table.names)}
    columns = {"": next(iter(named.values())), **named}
    if table.rows:
        return columns, []
    message = f"{file} has only the names of its columns: nothing is in this list"
    return columns, [Issue(path, message, severity=Severity.WARNING)]


class _Table:
    """A CSV text: the names of its columns, its rows, and its faults by line."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self.rows: list[Sequence[str]] = []
        self.faults: list[tuple[int, str, str | None]] = []
        head = text.partition("\n")[0]
        separator = max(_SEPARATORS, key=head.count)
        reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
        try:
            for row in reader:
                self._take(row, reader.line_num)
        except csv.Error as error:
            self._fault(reader.line_num, f"this line cannot be read: {error}")
        if not self.names and not self.faults:
            self._fault(1, "the file is empty", "begin with a line of column names, such as: email")

    def _take(self, row: Sequence[str], line: int) -> None:
        if not any(one.strip() for one in row):
            return
        if not self.names:
            self._take_names(row, line)
        elif len(row) != len(self.names):
            many = f"{len(row)} value{'' if len(row) == 1 else 's'}"
            self._fault(line, f"there are {many} for {len(self.names)} columns")
        elif len(self.rows) == _MOST_ROWS:
            raise csv.Error(f"a list has at most {_MOST_ROWS} lines")
        else:
            self.rows.append(row)

    def _take_names(self, row: Sequence[str], line: int) -> None:
        self.names = [_as_name(one) for one in row]
        for number, name in enumerate(self.names):
            if not name:
                self._fault(line, f"column {number + 1} has no name")
            elif name in self.names[:number]:
                self._fault(line, f"two columns are called {name}")
            elif "@" in row[number]:
                hint = "begin with a line of column names, such as: email"
                self._fault(line, f"{row[number].strip()} is not the name of a column", hint)

    def _fault(self, line: int, message: str, hint: str | None = None) -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append((line, message, hint))


def _as_name(written: str) -> str:
    """What conditions call a column: names there have no accents, and begin with no digit."""
    plain = normalize("NFKD", written.strip().casefold())
    name = _NOT_IN_NAMES.sub("_", "".join(one for one in plain if not combining(one))).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def _column(table: _Table, number: int) -> Column:
    values = (row[number].strip().casefold() for row in table.rows)
    return Column.of(frozenset(value for value in values if value))


def _offset(text: str, line: int) -> int:
    """Where a line begins, counted in characters."""
    return sum(len(one) for one in text.splitlines(keepends=True)[: line - 1])
