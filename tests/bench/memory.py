"""How much memory the processes of `taskbell serve` hold, as a user gets them who sets nothing."""

import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import psutil

from tests.bench import figures, wire, work
from tests.bench.figures import CONNECTIONS, EVENTS, Figure
from tests.harness.running import PATIENCE, free_port
from tests.harness.serving import programs, serving
from tests.harness.waiting import eventually

WANTED = {"web": 70.0, "worker": 75.0}  # MB


async def memory(folder: Path) -> list[Figure]:
    """After a flood; as the kernel apportions what several processes share (PSS)."""
    folder.mkdir()
    port, receiver = free_port(), free_port()
    (folder / "taskbell.yaml").write_text(work.configuration(receiver))
    with figures.process("tests.bench.receiver", str(receiver)):
        await figures.listening(receiver)
        with serving(folder, port, LOG_FORMAT="json", LOG_LEVEL="WARNING") as serve:
            await _flood(port, receiver)
            return _figures(serve)


async def _flood(port: int, receiver: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await eventually(lambda: _is_synced(client), PATIENCE)
    requests = [work.webhook(number, f"task {number}") for number in range(EVENTS)]
    await wire.flood(port, requests, CONNECTIONS)
    await figures.received(receiver, EVENTS)


async def _is_synced(client: httpx.AsyncClient) -> bool:
    """Whether the first sync, which nobody is told of, is over."""
    try:
        accounts = (await client.get("/api/v1/accounts")).json()["data"]
    except httpx.TransportError:
        return False
    return any(one["baseline_at"] for one in accounts)


def _figures(serve: subprocess.Popen[bytes]) -> list[Figure]:
    """The largest of each kind, what starts and keeps them, and all with the two servers."""
    largest = {name: max(map(_megabytes, programs(serve, name))) for name in WANTED}
    supervising = [psutil.Process(serve.pid), *programs(serve, "fork server")]
    everything = [psutil.Process(serve.pid), *psutil.Process(serve.pid).children(recursive=True)]
    return [
        *(_figure(name, size, WANTED[name]) for name, size in largest.items()),
        _figure("supervisor and fork server", sum(map(_megabytes, supervising))),
        _figure("all processes, with PostgreSQL and Valkey", sum(map(_megabytes, everything))),
    ]


def _figure(name: str, size: float, wanted: float | None = None) -> Figure:
    found = Figure(f"memory of {name}", f"{size:.0f} MB")
    if wanted is None:
        return found
    return replace(found, wanted=f"≤ {wanted:.0f} MB", holds=size <= wanted)


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / 1e6
