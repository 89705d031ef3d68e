"""Watches the files of a configuration for changes."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import structlog

from service.document.files import files, folder_of, texts
from service.errors import ConfigError
from service.reload import ConfigSnapshot, LoadedConfig, read, read_beside

log = structlog.get_logger()

_BETWEEN_LOOKS = 0.5  # seconds

_Marks: TypeAlias = list[tuple[str, int, int, int]]
"""Of each file its name, time of change (ns), size and inode: different after any change."""


def first_look(path: Path, environ: Mapping[str, str]) -> LoadedConfig:
    """The present contents of the file or folder at `path`."""
    return read(_word(path, ()), environ)


async def look(
    path: Path, asked: asyncio.Event, environ: Mapping[str, str], last: LoadedConfig
) -> AsyncIterator[LoadedConfig]:
    """A new snapshot after each change at `path` since `last`, and whenever `asked` is set.

    A change counts once the files have stayed the same from one check to the next, because a file
    may be half written. If `asked` is set, there is a snapshot even if no file has changed, because
    the value of a `${file:…}` may have. Errors are logged.
    """
    before, seen = None, None
    while True:
        was_asked = await _pause(asked)
        marks = _marks(path, last.names)
        if was_asked or (marks == before and marks != seen):
            word, seen = _word(path, last.names), marks
            if was_asked or word != last.word:
                last = await read_beside(word, environ)
                _log_faults(last)
                yield last
        before = marks


def _word(path: Path, names: Collection[str]) -> ConfigSnapshot:
    """The contents of the files, and of those `names` that can be read."""
    folder = folder_of(path)
    for name in names:
        with suppress(ValueError):
            folder.text(name)
    try:
        return ConfigSnapshot(str(folder.path), tuple(texts(path)), folder.texts)
    except ConfigError as error:
        return ConfigSnapshot(str(folder.path), named=folder.texts, faults=error.faults)


def _marks(path: Path, names: Collection[str]) -> _Marks:
    """The marks (size, times) of every file that exists and can be accessed now."""
    found: list[Path] = []
    with suppress(ConfigError):
        found = files(path)
    marks = []
    for file in [*found, *(folder_of(path).path / name for name in sorted(names))]:
        with suppress(OSError, ValueError):
            stat = file.stat()
            marks.append((str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return marks


async def _pause(asked: asyncio.Event) -> bool:
    """Wait for the next check; returns whether `asked` was set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asked.wait(), _BETWEEN_LOOKS)
    was_asked = asked.is_set()
    asked.clear()
    return was_asked


def _log_faults(reading: LoadedConfig) -> None:
    if reading.config is None:
        faults = [fault.in_a_line for fault in reading.faults]
        log.error("configuration.not_loaded", faults=faults, in_force="the one before")
