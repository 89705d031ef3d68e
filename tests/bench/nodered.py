"""The same job in Node-RED, in the same run, where npm can install it.

HTTP in, answer 202, a condition, a text, HTTP request out. Node-RED keeps nothing on disk and does
not check the signature, so the comparison favours it.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx

from tests.bench import wire, work
from tests.bench.figures import CONNECTIONS, listening, process, received
from tests.harness.programs import NotInstalled
from tests.harness.running import free_port
from tests.harness.waiting import eventually

VERSION = "4"  # the newest that runs on Node.js 20
EVENTS = 5000

_SETTINGS = """
module.exports = {
  uiHost: "127.0.0.1", uiPort: %d, httpAdminRoot: false, flowFile: "flows.json",
  logging: { console: { level: "fatal" } }, telemetry: { enabled: false }
}
"""
_TELL = """
const task = msg.payload;
if (task.taskable_type !== "case") { return null; }
return {
  method: "POST",
  headers: { "content-type": "application/json", "webhook-id": task.uuid },
  payload: {
    type: "task.created", timestamp: new Date().toISOString(),
    data: { task, rule: "tell", text: `${task.name} is for ${task.assigned_to.name}` }
  }
};
"""


async def events_per_second(folder: Path) -> float:
    """From the first webhook sent to the last notification received; raises NotInstalled."""
    if shutil.which("npm") is None:
        raise NotInstalled("npm is not here")
    folder.mkdir()
    receiver, port = free_port(), free_port()
    _install(folder, port, receiver)
    with process("tests.bench.receiver", str(receiver)), _running(folder):
        await listening(receiver)
        await listening(port)
        await eventually(partial(_is_deployed, port), 30)
        await wire.flood(port, _requests(0, 500), 8)
        await received(receiver, 500)
        started = time.time()
        await wire.flood(port, _requests(500, EVENTS), CONNECTIONS)
        last = await received(receiver, 500 + EVENTS)
    return EVENTS / (last - started)


async def _is_deployed(port: int) -> bool:
    """Whether the flow answers, which it does a moment after the port is open."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"http://127.0.0.1:{port}/hooks/london", json={})
    return answer.status_code == HTTPStatus.ACCEPTED


def _requests(first: int, count: int) -> list[bytes]:
    return [work.webhook(first + number, f"task {number}") for number in range(count)]


def _install(folder: Path, port: int, receiver: int) -> None:
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", f"node-red@{VERSION}"]
    subprocess.run(npm, cwd=folder, check=True)
    (folder / "settings.js").write_text(_SETTINGS % port)
    (folder / "flows.json").write_text(json.dumps(_flow(receiver)))


def _flow(receiver: int) -> list[dict[str, object]]:
    url = f"http://127.0.0.1:{receiver}/in"
    return [
        {"id": "t", "type": "tab", "label": "bench"},
        {
            "id": "in",
            "type": "http in",
            "z": "t",
            "url": "/hooks/london",
            "method": "post",
            "wires": [["tell", "ok"]],
        },
        {"id": "ok", "type": "http response", "z": "t", "statusCode": "202", "wires": []},
        {"id": "tell", "type": "function", "z": "t", "func": _TELL, "wires": [["out"]]},
        {
            "id": "out",
            "type": "http request",
            "z": "t",
            "method": "use",
            "ret": "txt",
            "url": url,
            "persist": True,
            "wires": [[]],
        },
    ]


@contextmanager
def _running(folder: Path) -> Iterator[None]:
    program = folder / "node_modules" / ".bin" / "node-red"
    command = [str(program), "--userDir", str(folder), "--settings", str(folder / "settings.js")]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait()
