"""The files of a configuration, as text."""

from pathlib import Path

from service.errors import ConfigError
from service.faults import Fault

MAX_BYTES = 1_000_000
_NO_FILE = "write one, beginning with the example in README.md, or set TASKBELL_CONFIG to its path"


def texts(path: Path) -> list[tuple[str, str]]:
    """The name and the text of the file at `path`, or of every .yaml file of that folder.

    Raises ConfigError for every file that cannot be read, is too large, or is no text in UTF-8.
    """
    found, faults = [], []
    for file in _files(path):
        try:
            with file.open("rb") as opened:
                raw = opened.read(MAX_BYTES + 1)
            found.append((str(file), _decode(str(file), raw)))
        except FileNotFoundError:
            faults.append(Fault(str(file), 1, 1, "there is no such file", hint=_NO_FILE))
        except OSError as error:
            faults.append(Fault(str(file), 1, 1, f"the file cannot be read: {error.strerror}"))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        files = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"})
    except OSError as error:
        message = f"the folder cannot be read: {error.strerror}"
        raise ConfigError([Fault(str(path), 1, 1, message)]) from None
    if not files:
        raise ConfigError([Fault(str(path), 1, 1, "the folder holds no .yaml file")])
    return files


def _decode(file: str, raw: bytes) -> str:
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
    """A fault at the end of the text that comes `before` it."""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return ConfigError([Fault(file, line, column, message, hint=hint)])
