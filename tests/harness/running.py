"""A whole Taskbell for tests that need real processes: servers, web and workers, all killable."""

import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import psutil

from service import store
from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.harness.waiting import eventually

PATIENCE = 30.0  # seconds
ROOT = Path(__file__).parents[2]


_CHANCE = random.SystemRandom()  # nobody's seed, which several tests may share


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to whoever asks for any.

    Of those one could be somebody else's by the time that a program is started on it.
    """
    while True:
        port = _CHANCE.randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Taskbell:
    """Servers and processes of one installation in `folder`; workers and web restart at will.

    They run the version whose `code` this is.
    """

    folder: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    port: int
    environ: dict[str, str]
    code: Path = ROOT
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self, name: str) -> None:
        """Start the web process, or a worker: each name, such as `worker.2`, is one of its own."""
        command = ["service", "web"] if name == "web" else ["workers"]
        with self.log.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.code,
                env={**self.environ, "PS": name},
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """Kill -9, and leave it dead."""
        self.processes[name].kill()
        self.processes[name].wait()

    def terminate(self, name: str) -> int:
        """Stop a process in good order; returns its exit code."""
        self.processes[name].terminate()
        return self.processes[name].wait(PATIENCE)

    @property
    def valkey_process(self) -> psutil.Process:
        children = psutil.Process().children()
        return next(child for child in children if "valkey" in child.name())

    async def ready(self) -> None:
        """Wait until the web process says that nothing is missing."""
        async with httpx.AsyncClient() as client:
            await eventually(lambda: self._is_ready(client), PATIENCE)

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self.url}/readyz")).is_success
        except httpx.TransportError:
            return False

    async def query(self, statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            process.wait(PATIENCE)


@asynccontextmanager
async def taskbell(
    folder: Path, configuration: str, *processes: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Taskbell]:
    """A Taskbell with this configuration and these processes (default: web and one worker)."""
    (folder / "taskbell.yaml").write_text(configuration)
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        await store.bring_up_to_date(postgres.url)
        with EmbeddedValkey(folder / "valkey") as valkey:
            port = free_port()
            settings = {
                "DATABASE_URL": postgres.url,
                "REDIS_URL": valkey.url,
                "TASKBELL_CONFIG": str(folder / "taskbell.yaml"),
                "PORT": str(port),
                "LOG_FORMAT": "json",
                "LOG_LEVEL": "WARNING",
            }
            running = Taskbell(
                folder, postgres, valkey, port, {**os.environ, **settings, **(environ or {})}
            )
            for name in processes or ("web", "worker"):
                running.start(name)
            try:
                await running.ready()
                yield running
            finally:
                running.stop()
    finally:
        postgres.stop()
