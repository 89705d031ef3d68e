"""What the processes write: one form for everything, whoever has it to say."""

import asyncio
import os
import re
import sys
from pathlib import Path

import orjson
import pytest

from tests.harness.commands import clean_environment
from tests.harness.running import free_port, taskbell
from tests.harness.site import CONFIGURATION
from tests.harness.waiting import eventually

# A library's line, one with a traceback, a warning, our own, a destructor's, and a crash.
NOISY = """
import logging, warnings, structlog
from service.telemetry import log
from service.settings import read_settings

class Careless:
    def __del__(self):
        raise ValueError("while going")

log.configure(read_settings())
logging.getLogger("uvicorn.error").warning("a %s said", "library")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("arq.worker").exception("a job failed")
warnings.warn("an old way")
structlog.get_logger().warning("stage.done", receipts=3)
Careless()
raise RuntimeError("nobody foresaw this")
"""


async def written(folder: Path, *words: str, **environ: str) -> list[str]:
    """The lines that a Python process writes on both its outputs, in this folder."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        cwd=folder,
        env=clean_environment(**environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 1
    return out.decode().splitlines()


async def test_as_json_every_line_is_json(tmp_path: Path) -> None:
    """Libraries, warnings, destructors and a crash with its traceback too."""
    lines = [orjson.loads(line) for line in await written(tmp_path, "-c", NOISY, LOG_FORMAT="json")]
    said = [line["event"].partition("\n")[0] for line in lines]
    assert said[:2] == ["a library said", "a job failed"]
    assert "UserWarning: an old way" in said[2]
    assert said[3:] == ["stage.done", "process.unraisable", "process.crashed"]
    assert all({"level", "timestamp"} <= set(line) for line in lines)
    assert lines[0]["logger"] == "uvicorn.error"
    assert "ZeroDivisionError" in lines[1]["exception"]
    assert "nobody foresaw this" in lines[5]["exception"]


async def test_for_people_all_have_one_look(tmp_path: Path) -> None:
    """Time, level, what happened; whoever says it."""
    lines = await written(tmp_path, "-c", NOISY)
    heads = [line for line in lines if re.match(r"\d{4}-\d\d-\d\dT\S+Z \[\w+ *\] ", line)]
    said = (
        "a library said",
        "a job failed",
        "an old way",
        "stage.done",
        "process.unraisable",
        "process.crashed",
    )
    assert len(heads) == len(said)
    assert all(words in head for words, head in zip(said, heads, strict=True))


# Writes lines of all lengths, of its own and of a library, as fast as it can.
TALKATIVE = """
import logging, sys, structlog
from service.telemetry import log
from service.settings import read_settings

log.configure(read_settings())
for number in range(60):
    said = sys.argv[1] * (7 ** (number % 7))
    structlog.get_logger().warning("said", by=sys.argv[1], number=number, said=said)
    logging.getLogger("a.library").warning(said)
"""


@pytest.mark.parametrize("sink", ["pipe", "file"])
async def test_lines_of_several_processes_never_run_together(tmp_path: Path, sink: str) -> None:
    """However long they are, and however slowly somebody reads them; none is lost."""
    (tmp_path / "log").touch()
    reading, writing = os.pipe() if sink == "pipe" else (-1, os.open(tmp_path / "log", os.O_RDWR))
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", TALKATIVE, name),
            env=clean_environment(LOG_FORMAT="json"),
            stderr=writing,
        )
        for name in "abcd"
    ]
    os.close(writing)
    if sink == "pipe":
        with open(reading, "rb") as pipe:  # noqa: ASYNC230, PTH123 (nothing else runs here)
            (tmp_path / "log").write_bytes(pipe.read())
    assert [await process.wait() for process in processes] == [0] * 4
    lines = [orjson.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    said = {(line["by"], line["number"]) for line in lines if line["event"] == "said"}
    assert said == {(name, number) for name in "abcd" for number in range(60)}
    assert len(lines) == 4 * 60 * 2


async def test_a_log_that_nobody_takes_stops_no_work(tmp_path: Path) -> None:
    """Whoever read it has gone: what is said is lost, and the process ends as it would have."""
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", TALKATIVE, "a"),
        cwd=tmp_path,
        env=clean_environment(LOG_FORMAT="json"),
        stderr=writing,
    )
    os.close(writing)
    assert await process.wait() == 0


@pytest.mark.parametrize("words", [("service", "web"), ("workers",)])
async def test_what_stops_a_process_is_a_line_of_json(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Settings or a configuration with faults, a database that is away: each one line."""
    common = {"LOG_FORMAT": "json", "PORT": str(free_port())}
    away = f"postgresql://127.0.0.1:{free_port()}/none"
    (tmp_path / "good.yaml").write_text("version: 1\n")
    for environ, reason in (
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL must be"),
        ({"TASKBELL_CONFIG": "none.yaml"}, "none.yaml"),
        (
            {
                "TASKBELL_CONFIG": "good.yaml",
                "DATABASE_URL": away,
                "REDIS_URL": "redis://127.0.0.1:9",
            },
            "the connection was refused",
        ),
    ):
        lines = await written(tmp_path, "-m", *words, **common, **environ)
        last = orjson.loads(lines[-1])
        assert [orjson.loads(line) for line in lines]
        assert (last["event"], last["level"]) == ("process.stopped", "critical")
        assert reason in last["error"]


async def test_whole_processes_write_nothing_else(folder: Path) -> None:
    """Web and worker from start to end, with a malformed request and a Redis that goes away."""
    async with taskbell(folder, CONFIGURATION, environ={"LOG_LEVEL": "DEBUG"}) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"NONSENSE\r\n\r\n")
        await reader.read()
        writer.close()
        running.valkey.kill()
        await eventually(lambda: b"doorbell.away" in running.log.read_bytes(), within=20)
        running.valkey.revive()
        running.stop()
        lines = running.log.read_text().splitlines()
    assert all(isinstance(orjson.loads(line), dict) for line in lines)
    assert any("web.refused" in line for line in lines)
    assert not any("GET /readyz" in line for line in lines), "there is no access log"
