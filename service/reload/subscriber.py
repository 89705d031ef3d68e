"""The configurations of a web or worker process, at its start and later."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from service.processes import signals
from service.processes.parent_pipe import ParentPipe
from service.reload import LoadedConfig, handed
from service.reload.file_watcher import first_look, look


async def follow(
    line: ParentPipe | None, path: Path, environ: Mapping[str, str]
) -> AsyncIterator[LoadedConfig]:
    """The configuration now, and again after each change, for as long as the process runs.

    It comes from the supervisor through `line`, or without a supervisor from the files at `path`.
    """
    if line is None:
        asked = asyncio.Event()
        signals.on_hangup(asked.set)
        first = first_look(path, environ)
        yield first
        readings = look(path, asked, environ, first)
    else:
        # The supervisor sends changes; a SIGHUP that was meant for it must not end this process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        readings = handed(line.lines(), environ)
    async for reading in readings:
        yield reading
