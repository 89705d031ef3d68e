"""Where one process has its configuration from, when it starts and later."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from service.processes import signals
from service.processes.lifeline import Lifeline
from service.reloading import Reading, handed
from service.reloading.looking import first_look, look


async def follow(
    line: Lifeline | None, path: Path, environ: Mapping[str, str]
) -> AsyncIterator[Reading]:
    """What there is, and whatever follows: from the supervisor, or without one from `path`."""
    if line is None:
        asked = asyncio.Event()
        signals.on_hangup(asked.set)
        first = first_look(path, environ)
        yield first
        readings = look(path, asked, environ, first)
    else:
        # Of the files it hears from the supervisor, and should nobody else send it signals.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        readings = handed(line.lines(), environ)
    async for reading in readings:
        yield reading
