"""`${NAME}` and `${file:/path}` in the configuration: values from outside the file."""

import re
from collections import defaultdict
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from service.diagnostics import Issue, Path, Suggestion
from service.document.redaction import VARIABLE
from service.regular_file import read_regular

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_UNCLOSED = re.compile(r"\$\{[^}]*$")
_BARE = re.compile(r"\$(\w+)", re.ASCII)
_LARGEST = 100_000
_ALIKE = 0.85


class Substitution:
    """Replaces references by values from `environ` and from files, and remembers them as secrets.

    `problems` has the missing values; `values` has the references at a path, by what is put in.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[Issue] = []
        self.values: defaultdict[Path, dict[str, str]] = defaultdict(dict)

    def apply(self, data: Any, path: Path) -> Any:
        """`data` with every reference in it resolved; a missing or empty one is a problem."""
        if isinstance(data, dict):
            return {name: self.apply(value, (*path, name)) for name, value in data.items()}
        if isinstance(data, list):
            return [self.apply(value, (*path, i)) for i, value in enumerate(data)]
        if not isinstance(data, str):
            return data
        self._demand_written_right(data, path)
        return _REFERENCE.sub(lambda match: self._value(match, path), data)

    def _demand_written_right(self, text: str, path: Path) -> None:
        """Report misspelt references: they would be sent as they are, for instance as a token."""
        if (found := _UNCLOSED.search(text)) is not None:
            message = "${ is not closed by }"
            self.problems.append(Issue(path, message, offset=found.start()))
        found = _BARE.fullmatch(text)
        if found is not None and found[1] in self._environ:
            message = "to use an environment variable, put its name in braces"
            self.problems.append(Issue(path, message, "write ${NAME}"))

    def _value(self, match: re.Match[str], path: Path) -> str:
        reference, name = match.group(0), match.group(1)
        if name.startswith("file:"):
            value, message = _contents(FilePath(name.removeprefix("file:")))
            hint = None
        else:
            value = self._environ.get(name, "")
            message, hint = _unset(name, self._environ)
        if not value.strip():
            self.problems.append(Issue(path, message, hint, offset=match.start()))
            return reference
        self.values[path][value] = reference
        return value


def references(data: Any, path: Path) -> list[Path]:
    """The places in `data` that have references."""
    if isinstance(data, dict):
        return [at for name, value in data.items() for at in references(value, (*path, name))]
    if isinstance(data, list):
        return [at for i, value in enumerate(data) for at in references(value, (*path, i))]
    return [path] if isinstance(data, str) and _REFERENCE.search(data) else []


def _contents(path: FilePath) -> tuple[str, str]:
    """What a file holds, and the error if that is nothing."""
    try:
        found = read_regular(path, _LARGEST + 1)
        if len(found) > _LARGEST:
            return "", f"the file {path} is too large for a secret"
        return found.decode().strip(), f"the file {path} is empty"
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        return "", f"the file {path} cannot be read: {reason}"


def _unset(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The error for a name without a value; a text that is not a name may be the secret itself."""
    similar = _similar(name, environ)
    if not VARIABLE.fullmatch(name):
        message = "the text in these braces is not a variable in the environment"
        return (
            message,
            similar or "put a name in braces, such as ${SLACK_TOKEN}, not the value itself",
        )
    is_set = name in environ
    message = f"{name} is set, but empty" if is_set else f"{name} is not set in the environment"
    return message, similar or f"set it where Taskbell is started: {name}=…"


def _similar(name: str, environ: Mapping[str, str]) -> str | None:
    """A name that differs by a typing error; one that only has the same ending is another name."""
    close = get_close_matches(name, environ, n=1, cutoff=_ALIKE)
    return Suggestion(close[0]) if close else None
