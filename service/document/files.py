"""The files of a configuration, and those that it names, as text."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from service.diagnostics import Diagnostic, refused
from service.errors import ConfigError
from service.regular_file import read_regular

MAX_BYTES, MOST_FILES = 1_000_000, 200
_INSIDE = "put it beside the configuration"
_NO_FILE = "write one, starting with the example in README.md, or set TASKBELL_CONFIG to its path"


def texts(path: Path) -> list[tuple[str, str]]:
    """The name and the text of the file at `path`, or of every .yaml file of that folder.

    Raises ConfigError for every file that cannot be read, is too large, or is not UTF-8 text.
    """
    found, faults = [], []
    for file in files(path):
        name = printed_name(file)
        try:
            found.append((name, decode(name, read_regular(file, MAX_BYTES + 1))))
        except FileNotFoundError:
            faults.append(Diagnostic(name, 1, 1, "there is no such file", hint=_NO_FILE))
        except OSError as error:
            faults.append(Diagnostic(name, 1, 1, f"the file cannot be read: {error.strerror}"))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return found


class Folder:
    """The folder of a configuration, with the texts in it that the configuration names.

    `texts` are those that were read, by their names; some may be known beforehand. `names` are all
    that were requested, also those that do not exist.
    """

    def __init__(self, path: Path, texts: Mapping[str, str] = MappingProxyType({})) -> None:
        self.path = path
        self.texts = dict(texts)
        self.names = set(texts)

    def text(self, name: str) -> str:
        """The text of this file; raises ValueError if it cannot be read, with the reason."""
        self.names.add(name)
        if name not in self.texts:
            self.texts[name] = self._read(name)
        return self.texts[name]

    def place(self, name: str) -> str:
        """The path of the file for messages."""
        return str(self.path / name)

    def _read(self, name: str) -> str:
        try:
            file = self._inside(name)
            return decode(name, read_regular(file, MAX_BYTES + 1))
        except FileNotFoundError:
            raise refused(f"there is no file {name} beside the configuration") from None
        except OSError as error:
            raise refused(f"{name} cannot be read: {error.strerror}") from None
        except ConfigError as error:
            fault = error.faults[0]
            raise refused(f"{name} cannot be read: {fault.message}", fault.hint) from None

    def _inside(self, name: str) -> Path:
        """The path of the file of this name; raises OSError, or ValueError if it is outside."""
        try:
            file = (self.path / name).resolve()
        except (RuntimeError, ValueError):
            said = "the name is not valid, or links lead in a circle"
            raise refused(f"{name} cannot be read: {said}") from None
        if not file.is_relative_to(self.path.resolve()):
            raise refused(f"{name} is outside the configuration's folder", _INSIDE)
        return file


def folder_of(path: Path) -> Folder:
    """The folder of the configuration at `path`, which is a file or that folder itself."""
    return Folder(path if path.is_dir() else path.parent)


def files(path: Path) -> list[Path]:
    """The file at `path`, or every .yaml file of that folder; raises ConfigError."""
    if not path.is_dir():
        return [path]
    try:
        found = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"})
    except OSError as error:
        message = f"the folder cannot be read: {error.strerror}"
        raise ConfigError([Diagnostic(printed_name(path), 1, 1, message)]) from None
    if not found:
        raise ConfigError([Diagnostic(printed_name(path), 1, 1, "the folder has no .yaml file")])
    if len(found) > MOST_FILES:
        message = f"the folder has more than {MOST_FILES} .yaml files"
        raise ConfigError([Diagnostic(printed_name(path), 1, 1, message)])
    return found


def printed_name(file: Path) -> str:
    """A file's name in printable form; one in another encoding has its bytes as numbers."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def decode(file: str, raw: bytes) -> str:
    """The text of a file of this name; raises ConfigError if it is too large or not UTF-8 text."""
    if len(raw) > MAX_BYTES:
        raise _refusal(file, "", "the file is over 1 MB", "split it into several in one folder")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        message = f"the byte 0x{raw[error.start]:02x} is not UTF-8"
        raise _refusal(file, before, message, "save the file with the encoding UTF-8") from None
    if "\0" in text:
        raise _refusal(file, text[: text.index("\0")], "there is a NUL character here")
    return text


def _refusal(file: str, before: str, message: str, hint: str | None = None) -> ConfigError:
    """An error at the end of the text that comes `before` it."""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return ConfigError([Diagnostic(file, line, column, message, hint=hint)])
