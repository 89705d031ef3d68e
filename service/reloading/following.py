"""Where one process has its configuration from, when it starts and later."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import structlog

from service import signals
from service.lifeline import Lifeline
from service.reloading import Reading, Word, handed, read_each
from service.reloading.watching import watch

log = structlog.get_logger()


def follow(line: Lifeline | None, path: Path, environ: Mapping[str, str]) -> AsyncIterator[Reading]:
    """From the supervisor, or where there is none from the files at `path`."""
    if line is None:
        asked = asyncio.Event()
        signals.on_hangup(asked.set)
        return look(path, asked, environ)
    # Of the files it hears from the supervisor, and should nobody else send it signals.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return read_each(handed(line.lines()), environ)


async def look(
    path: Path, asked: asyncio.Event, environ: Mapping[str, str], known: Word | None = None
) -> AsyncIterator[Reading]:
    """From the files at `path`; what is wrong with one that follows another is logged."""
    is_first = known is None
    async for reading in read_each(watch(path, asked, known), environ):
        if reading.config is None and not is_first:
            faults = [fault.in_a_line for fault in reading.word.faults]
            log.error("configuration.not_loaded", faults=faults, in_force="the one before")
        is_first = False
        yield reading
