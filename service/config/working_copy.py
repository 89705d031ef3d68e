"""One file of a configuration with another text: checked with the others, and saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Self

from service.config import RulesConfig, check_texts, sketch_texts
from service.diagnostics import Diagnostic
from service.document.files import MAX_BYTES, decode, files, folder_of, printed_name, texts
from service.document.saving import mark_of, replace_text
from service.errors import ConfigError, TaskbellError
from service.regular_file import read_regular


class NotEditable(TaskbellError):
    """The configuration has no such file, or it cannot be read or replaced; says why."""


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """A text for the file called `name` of the configuration at `path`.

    `mark` stands for the contents that the file had when the editor opened it.
    """

    path: Path
    name: str
    text: str
    mark: str

    @classmethod
    def opened(cls, path: Path, name: str) -> Self:
        """The file as it is on disk; raises NotEditable."""
        file = _file(path, name)
        try:
            contents = read_regular(file, MAX_BYTES + 1)
            text = decode(name, contents)
        except OSError as error:
            raise NotEditable(f"{name} cannot be read: {error.strerror}") from None
        except ConfigError as error:
            raise NotEditable(f"{name}: {error.faults[0].message}") from None
        return cls(path, name, text.replace("\r\n", "\n"), mark_of(contents))

    def texts(self) -> Sequence[tuple[str, str]]:
        """All files of the configuration with this text in place; raises ConfigError."""
        own = printed_name(_file(self.path, self.name))
        return [(name, self.text if name == own else text) for name, text in texts(self.path)]

    def others(self) -> Sequence[str]:
        """The texts of the other files; none if one of them cannot be read."""
        try:
            own = printed_name(_file(self.path, self.name))
            return [text for name, text in texts(self.path) if name != own]
        except ConfigError:
            return ()

    def faults(self, environ: Mapping[str, str]) -> Sequence[Diagnostic]:
        """Every error and warning of the whole configuration, as `taskbell check` finds them."""
        try:
            return check_texts(self.texts(), folder_of(self.path), environ)
        except ConfigError as error:
            return error.faults

    def sketch(self, environ: Mapping[str, str]) -> RulesConfig:
        """The rules of the whole configuration; raises ConfigError."""
        return sketch_texts(self.texts(), folder_of(self.path), environ)

    def difference(self, other: str) -> Sequence[str]:
        """What is in this text and not in the `other`, and the reverse, line by line."""
        lines = unified_diff(other.splitlines(), self.text.splitlines(), lineterm="", n=2)
        return list(lines)[2:]

    def save(self) -> None:
        """Replace the file on disk; raises FileChanged or NotEditable."""
        file = self._target()
        try:
            replace_text(file, self.text, self.mark)
        except OSError as error:
            said = f"{self.name} cannot be replaced, or its owner kept: {error.strerror}"
            raise NotEditable(said) from None

    def _target(self) -> Path:
        """The file itself, also behind a link; never one outside of the configuration's folder."""
        file = _file(self.path, self.name).resolve()
        if not file.is_relative_to(folder_of(self.path).path.resolve()):
            raise NotEditable(f"{self.name} is a link to a file outside of its folder")
        return file


def file_names(path: Path) -> Sequence[str]:
    """The names of the files of the configuration at `path`; raises NotEditable."""
    try:
        return [printed_name(Path(file.name)) for file in files(path)]
    except ConfigError as error:
        raise NotEditable(error.faults[0].message) from None


def _file(path: Path, name: str) -> Path:
    """The file of this name, which is one of those that the configuration is read from."""
    if name not in file_names(path):
        raise NotEditable(f"the configuration has no file {name}")
    return next(file for file in files(path) if printed_name(Path(file.name)) == name)
