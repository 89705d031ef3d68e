"""Hosts that run Taskbell: a web process and workers each, on an address of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.harness.commands import clean_environment
from tests.harness.waiting import eventually

PORT = 8088
_THIS_VERSION = Path(__file__).parents[2]
_WEB, _WORKER = ("service", "web"), ("workers",)
_COMMANDS = {"web": _WEB, "worker": _WORKER}
_BEFORE_STARTING_AGAIN = 0.5  # seconds
_PATIENCE = 120.0  # seconds; a process starts slowly beside others that do


class Host:
    """One host: what dies on it is started again, as systemd does.

    `inside` is put before each command, such as to run it in a network namespace.
    """

    def __init__(
        self,
        address: str,
        folder: Path,
        environ: Mapping[str, str],
        inside: Sequence[str] = (),
    ) -> None:
        self.address = address
        self._inside = inside
        self._log = folder / f"{address}.log"
        here = {"PYTHONPATH": str(_THIS_VERSION), "HOST": address, "PORT": str(PORT)}
        self._environ = clean_environment(**here | dict(environ))
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._keeping: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._keeping = [asyncio.create_task(self._keep(name)) for name in _COMMANDS]

    def kill(self, *names: str) -> None:
        """Kill -9 of these processes, or of all."""
        for name in names or _COMMANDS:
            self._processes[name].kill()

    async def upgrade(self) -> None:
        """End what runs, and start this version; returns when it is ready."""
        await self.stop()
        self._environ["PYTHONPATH"] = str(_THIS_VERSION)
        self.start()
        await eventually(self.is_ready, _PATIENCE)

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
                    *(*self._inside, sys.executable, "-m", *_COMMANDS[name]),
                    env=self._environ,
                    cwd="/",  # not the checkout: its code would come before PYTHONPATH's
                    stderr=log,
                )
            await process.wait()
            await asyncio.sleep(_BEFORE_STARTING_AGAIN)


@asynccontextmanager
async def running(hosts: Sequence[Host]) -> AsyncIterator[None]:
    """These hosts, once they are ready."""
    for host in hosts:
        host.start()
    try:
        for host in hosts:
            await eventually(host.is_ready, _PATIENCE)
        yield
    finally:
        await asyncio.gather(*(host.stop() for host in hosts))
