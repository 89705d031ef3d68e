"""docs/sandbox.md is held to the sandbox: each of its commands is run as a reader would."""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_docs import DOCS, examples
from tests.harness.commands import clean_environment
from tests.harness.running import free_port
from tests.harness.waiting import eventually

PAGE = DOCS / "sandbox.md"
# As a reader types them, but a refusal is a failure.
HEAD = """\
set -e
taskbell() { "$PYTHON" -m service "$@"; }
curl() { command curl --fail --show-error "$@"; }
"""


def commands(port: int) -> list[str]:
    """The page's commands, block by block, for a sandbox at another port."""
    blocks = [one.text for one in examples("sh") if one.page == PAGE]
    return [block.replace("127.0.0.1:8090", f"127.0.0.1:{port}") for block in blocks]


async def run(folder: Path, script: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", HEAD + script),
        cwd=folder,
        env=clean_environment(PYTHON=sys.executable),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page uses curl")
@pytest.mark.skipif(sys.platform != "linux", reason="the page says what differs on a Mac")
async def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    """The first block starts the sandbox; the others, in their order, are not refused by it."""
    port = free_port()
    begin, *others = commands(port)
    ports = f"--port {port} --smtp-port {free_port()}"
    sandbox = await run(tmp_path, begin.replace("--push", f"{ports} --push"))
    try:
        async with httpx.AsyncClient() as client:

            async def answers() -> bool:
                try:
                    return (await client.get(f"http://127.0.0.1:{port}/inbox")).is_success
                except httpx.TransportError:
                    return False

            await eventually(answers)
        ended = await run(tmp_path, "\n".join(others))
        said, _ = await ended.communicate()
        assert ended.returncode == 0, said.decode()
    finally:
        os.killpg(sandbox.pid, signal.SIGTERM)
        await sandbox.communicate()
