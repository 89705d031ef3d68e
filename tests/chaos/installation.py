"""A whole Taskbell as `taskbell serve` runs it, whose processes can be killed one by one."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from tests.harness.running import free_port
from tests.harness.serving import programs, serving


@dataclass(frozen=True)
class Installation:
    """What runs in `folder`: supervisor, web, two workers, PostgreSQL and Valkey."""

    folder: Path
    url: str
    process: subprocess.Popen[bytes]

    async def query(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Ask PostgreSQL itself; raises OSError or PostgresError while it is away."""
        connection = await asyncpg.connect(host=self._postmaster[4], user="postgres", timeout=5)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close(timeout=5)

    def kill_web(self) -> None:
        for web in programs(self.process, "web"):
            web.kill()

    def kill_a_worker(self) -> None:
        for worker in programs(self.process, "worker")[:1]:
            worker.kill()

    def kill_workers(self) -> None:
        for worker in programs(self.process, "worker"):
            worker.kill()

    def kill_valkey(self) -> None:
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it has just died of something else
                if child.name() == "valkey-server":
                    child.kill()

    def kill_postgres(self) -> None:
        """The postmaster, unless it is dead already; its backends end when they notice."""
        with suppress(OSError):
            os.kill(int(self._postmaster[0]), signal.SIGKILL)

    @property
    def _postmaster(self) -> list[str]:
        """What it notes about itself: first its process id, fifth the folder of its socket.

        Raises OSError while it is away.
        """
        text = (self.folder / ".taskbell/postgres/postmaster.pid").read_text()
        note = [line.strip() for line in text.splitlines()]
        if note[-1:] != ["ready"]:
            raise ConnectionRefusedError("PostgreSQL is just being started")
        return note


@asynccontextmanager
async def installed(folder: Path, configuration: str) -> AsyncIterator[Installation]:
    """A Taskbell that has just been started with this configuration."""
    (folder / "taskbell.yaml").write_text(configuration)
    with serving(folder, port := free_port()) as process:
        yield Installation(folder, f"http://127.0.0.1:{port}", process)
