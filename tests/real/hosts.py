"""Hosts that run Taskbell: a web process and a worker each, on a loopback address of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.harness.commands import clean_environment
from tests.harness.waiting import eventually

PORT = 8088
_COMMANDS = {"web": ("service", "web"), "worker": ("workers",)}
_BEFORE_STARTING_AGAIN = 0.5  # seconds
_PATIENCE = 120.0  # seconds; a process starts slowly beside others that do


class Host:
    """One host: what dies on it is started again, as systemd does."""

    def __init__(self, address: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.address = address
        self._log = folder / f"{address}.log"
        self._environ = clean_environment(**environ, HOST=address, PORT=str(PORT))
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._keeping: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._keeping = [asyncio.create_task(self._keep(name)) for name in _COMMANDS]

    def kill(self, *names: str) -> None:
        """Kill -9 of these processes, or of all."""
        for name in names or _COMMANDS:
            self._processes[name].kill()

    async def stop(self) -> None:
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        running = [one for one in self._processes.values() if one.returncode is None]
        for process in running:
            process.terminate()
        await asyncio.gather(*(process.wait() for process in running))

    async def is_ready(self) -> bool:
        try:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"http://{self.address}:{PORT}/readyz")
        except httpx.TransportError:
            return False
        return answer.is_success

    async def _keep(self, name: str) -> None:
        while True:
            with self._log.open("ab") as log:
                self._processes[name] = process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", *_COMMANDS[name]), env=self._environ, stderr=log
                )
            await process.wait()
            await asyncio.sleep(_BEFORE_STARTING_AGAIN)


@asynccontextmanager
async def running(
    addresses: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> AsyncIterator[list[Host]]:
    """These hosts, once they are ready."""
    hosts = [Host(address, folder, environ) for address in addresses]
    for host in hosts:
        host.start()
    try:
        for host in hosts:
            await eventually(host.is_ready, _PATIENCE)
        yield hosts
    finally:
        await asyncio.gather(*(host.stop() for host in hosts))
