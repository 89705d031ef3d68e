"""A parsed configuration in which each value knows its line and column."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from service.diagnostics import Diagnostic, Issue, Path
from service.document.secret_values import SecretValues
from service.document.yaml_nodes import MAX_VALUES, Node, Pair, compose, lines_of
from service.errors import ConfigError


class Document:
    """One configuration, from one file or several.

    `data` has plain values as they were written, `faults` the duplicate names, `secrets` the parts
    that must not be shown.
    """

    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        """Parse (name, text) of every file; raises ConfigError with the errors of all."""
        self._lines = {file: lines_of(text) for file, text in texts}
        self._places: dict[Path, Node] = {}
        self._keys: dict[Path, Node] = {}
        self._count = 0
        self._twice: list[tuple[Node, Issue]] = []
        self.secrets = SecretValues(self._lines)
        roots = _roots(texts)
        self.data = self._mapping(_merged(roots), ())
        if not self.data:
            raise ConfigError([_emptiness(texts)])
        for root in roots:
            self.secrets.look_through(root)
        self.faults = [
            self.secrets.redacted(self._at(node, problem), problem.path)
            for node, problem in self._twice
        ]

    def holds(self, path: Path) -> bool:
        """Whether there is a value."""
        return path in self._places

    def add(self, file: str, text: str) -> None:
        """Add a text that the configuration names, for the positions of problems in it."""
        self._lines[file] = text.split("\n")

    def fault(self, problem: Issue) -> Diagnostic:
        """The problem with its position: of the value, or of the nearest name around it."""
        if problem.file is not None:
            return self._inside(problem.file, problem)
        path = problem.path
        while path and path not in self._places:
            path = path[:-1]
        node = self._places.get(path)
        is_around = path != problem.path and (node is None or node.scalar is None)
        if problem.at_key or is_around:
            node = self._keys.get(path) or node
        if node is None:
            node = Node(next(iter(self._lines), ""), 0, 0, 0, 0)
        return self._at(node, problem)

    def place(self, path: Path, *, at_key: bool = False) -> str:
        """The position of a value, or of its name, as file:line."""
        fault = self.fault(Issue(path, "", at_key=at_key))
        return f"{fault.file}:{fault.line}"

    def _inside(self, file: str, problem: Issue) -> Diagnostic:
        before = "\n".join(self._lines[file])[: problem.offset or 0]
        line, column = before.count("\n"), len(before) - before.rfind("\n")
        source = self._lines[file][line]
        return Diagnostic(
            file, line + 1, column, problem.message, source, problem.hint, problem.severity
        )

    def _at(self, node: Node, problem: Issue) -> Diagnostic:
        lines = self._lines.get(node.file, [])
        line, column = _within(node, problem.offset, lines)
        source = lines[line] if line < len(lines) else ""
        return Diagnostic(
            node.file,
            line + 1,
            column + 1,
            problem.message,
            source,
            problem.hint,
            problem.severity,
        )

    def _value(self, node: Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            message = f"the file expands to more than {MAX_VALUES} values"
            hint = "do aliases (*name) repeat each other?"
            fault = self._at(node, Issue(path, message, hint))
            raise ConfigError([replace(fault, source_line="")])
        self._places[path] = node
        if node.pairs is not None:
            return self._mapping(node.pairs, path)
        if node.items is not None:
            return [self._value(item, (*path, i)) for i, item in enumerate(node.items)]
        return node.scalar

    def _mapping(self, pairs: Iterable[Pair], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            name, inner = key.scalar, (*path, key.scalar)
            if name in found:
                first = self._keys[inner]
                message = f"{name} is set twice; the first is in {first.file}:{first.line + 1}"
                self._twice.append((key, Issue(inner, message)))
                continue
            self._keys[inner] = key
            found[name] = self._value(value, inner)
        return found


def _emptiness(texts: Sequence[tuple[str, str]]) -> Diagnostic:
    """The error for files without any content."""
    file, text = texts[0] if texts else ("", "")
    message = "the file has only comments" if text.strip() else "the file is empty"
    return Diagnostic(
        file, 1, 1, message, hint="start with version: 1, as in the example in README.md"
    )


def _roots(texts: Sequence[tuple[str, str]]) -> list[Node]:
    roots: list[Node] = []
    faults: list[Diagnostic] = []
    for file, text in texts:
        try:
            root = compose(file, text)
        except ConfigError as error:
            faults += error.faults
            continue
        if root is None or root == replace(root, scalar=None, items=None, pairs=None):
            continue
        if root.pairs is None:
            message = "a configuration must start with names such as accounts:, channels:, rules:"
            hint = "start with version: 1"
            faults.append(Diagnostic(file, root.line + 1, root.column + 1, message, hint=hint))
            continue
        roots.append(root)
    if faults:
        raise ConfigError(faults)
    return roots


def _merged(roots: Iterable[Node]) -> list[Pair]:
    """The files' top levels merged: names of accounts and channels together, rules joined."""
    pairs: list[Pair] = []
    for root in roots:
        earlier = {key.scalar: position for position, (key, _) in enumerate(pairs)}
        for key, value in root.pairs or ():
            position = earlier.get(key.scalar)
            joined = None if position is None else _joined(pairs[position][1], value)
            if position is None or joined is None:
                pairs.append((key, value))
            else:
                pairs[position] = (pairs[position][0], joined)
    return pairs


def _joined(one: Node, other: Node) -> Node | None:
    if one.pairs is not None and other.pairs is not None:
        return replace(one, pairs=one.pairs + other.pairs)
    if one.items is not None and other.items is not None:
        return replace(one, items=one.items + other.items)
    same = one.scalar is not None and one.scalar == other.scalar
    return one if same else None


def _within(node: Node, offset: int | None, lines: Sequence[str]) -> tuple[int, int]:
    """The position of the character of a text; the text's beginning if it cannot be determined."""
    if offset is None or not isinstance(node.scalar, str):
        return node.line, node.column
    before = node.scalar[:offset]
    if node.style == "|":
        line = node.line + 1 + before.count("\n")
        wanted = before[before.rfind("\n") + 1 :]
        column = len(lines[line]) - len(lines[line].lstrip()) if line < len(lines) else 0
    else:
        line, wanted = node.line, before
        column = node.column + (1 if node.style else 0)
    if line < len(lines) and lines[line][column:].startswith(wanted):
        return line, column + len(wanted)
    return node.line, node.column
