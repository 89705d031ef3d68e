"""Starts programs as processes of their own, each with an interpreter of its own.

The fork server cannot begin in a test's process, which has other threads.
"""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from service.processes.procfile import Program


@dataclass(frozen=True)
class Spawned:
    """A program that has been started."""

    process: asyncio.subprocess.Process

    async def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return await self.process.wait()

    def tell(self, said: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(said)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class SpawningLauncher:
    """Starts each program in a session of its own."""

    async def launch(self, program: Program, environ: Mapping[str, str]) -> Spawned:
        """Start this program."""
        process = await asyncio.create_subprocess_exec(
            *program.command,
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return Spawned(process)
