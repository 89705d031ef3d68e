"""Notices that the files of a configuration are not what they were."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from service.document.files import files, texts
from service.errors import ConfigError
from service.reloading import Word

_BETWEEN_LOOKS = 0.5  # seconds

_Marks: TypeAlias = list[tuple[str, int, int, int]]
"""What tells a file from what it was: name, time of change, size, and which one it is."""


async def watch(path: Path, asked: asyncio.Event, known: Word | None = None) -> AsyncIterator[Word]:
    """What the file or folder at `path` holds: now, whenever it is another, and when `asked`.

    A change counts when nothing has moved from one look to the next, as somebody may be in the
    middle of writing. Whoever asks is answered at once, also where nothing has changed: what a
    `${file:…}` stands for may have. With `known` given, that is not said again.
    """
    was_asked, before, read, last = known is None, None, None, known
    while True:
        marks = _marks(path)
        if was_asked or (marks == before and marks != read):
            word, read = _word(path), marks
            if was_asked or word != last:
                yield word
            last = word
        before = marks
        was_asked = await _pause(asked)


def _word(path: Path) -> Word:
    try:
        return Word(texts(path))
    except ConfigError as error:
        return Word(faults=error.faults)


def _marks(path: Path) -> _Marks:
    """Of every file; of none where they cannot be looked at just now."""
    marks = []
    with suppress(ConfigError, OSError):
        for file in files(path):
            stat = file.stat()
            marks.append((str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return marks


async def _pause(asked: asyncio.Event) -> bool:
    """Wait for the next look; returns whether somebody asks for it."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asked.wait(), _BETWEEN_LOOKS)
    was_asked = asked.is_set()
    asked.clear()
    return was_asked
