"""The same job in Prometheus' Alertmanager, in the same run, where its package can be installed.

An alert comes in and a webhook goes out, one for each. Alertmanager keeps everything in memory,
checks no signature and has no conditions beyond labels, so the comparison favours it.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx
import orjson

from tests.bench import wire
from tests.bench.figures import CONNECTIONS, listening, process, received
from tests.harness.programs import program
from tests.harness.running import free_port
from tests.harness.waiting import eventually

EVENTS = 15000
# Every alert is a group of its own, and is told at once.
_CONFIGURATION = """
route:
  receiver: told
  group_by: ["..."]
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 24h
receivers:
- name: told
  webhook_configs:
  - url: "http://127.0.0.1:%d/in"
    send_resolved: false
"""


async def events_per_second(folder: Path) -> float:
    """From the first alert sent to the last notification received; raises NotInstalled."""
    alertmanager = program("prometheus-alertmanager")
    folder.mkdir()
    receiver, port = free_port(), free_port()
    (folder / "alertmanager.yml").write_text(_CONFIGURATION % receiver)
    with process("tests.bench.receiver", str(receiver)), _running(alertmanager, folder, port):
        await listening(receiver)
        await eventually(partial(_is_ready, port), 30)
        await wire.flood(port, _requests(0, 500), 8)
        await received(receiver, 500)
        started = time.time()
        await wire.flood(port, _requests(500, EVENTS), CONNECTIONS)
        last = await received(receiver, 500 + EVENTS)
    return EVENTS / (last - started)


async def _is_ready(port: int) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            answer = await client.get(f"http://127.0.0.1:{port}/-/ready")
        except httpx.TransportError:
            return False
    return answer.status_code == HTTPStatus.OK


def _requests(first: int, count: int) -> list[bytes]:
    return [
        wire.request("/api/v2/alerts", orjson.dumps([_alert(number)]))
        for number in range(first, first + count)
    ]


def _alert(number: int) -> dict[str, dict[str, str]]:
    """As large as the task of the other systems' work."""
    return {
        "labels": {"alertname": "created", "task": str(number), "type": "case"},
        "annotations": {
            "text": f"task {number} is for Bo Miller",
            "project": "Pension transfer",
            "description": "x" * 500,
        },
    }


@contextmanager
def _running(alertmanager: str, folder: Path, port: int) -> Iterator[None]:
    command = [
        alertmanager,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait()
