"""The benchmark as a program: what it says of itself, and what it keeps of what it found."""

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.bench import wire
from tests.bench.figures import Figure, grown
from tests.bench.measurements import MEASUREMENTS
from tests.bench.results import Result, machine

ROOT = Path(__file__).parents[2]


def bench(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_measurement() -> None:
    """With what it measures, and about how long it takes."""
    ended = bench("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for name, one in MEASUREMENTS.items():
        assert re.search(
            rf"^ +{name} +{re.escape(one.says)} \({one.takes}", ended.stdout, re.MULTILINE
        )


def test_an_unknown_name_is_refused() -> None:
    """In plain words, with the names that there are; nothing is measured."""
    ended = bench("latency", "speed")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "invalid choice: 'speed' (choose from " in ended.stderr
    assert "crashed" not in ended.stderr


def test_a_result_is_kept_as_it_is(tmp_path: Path) -> None:
    figures = [Figure("p50", "7 ms", "≤ 20 ms", holds=True), grown("a claim", 1.25, 2)]
    kept = Result("latency", "2 cores", figures)
    kept.save(tmp_path / "new")
    assert Result.read(tmp_path / "new" / "latency.json") == kept


def test_a_machine_is_described_without_its_name() -> None:
    """By cores and versions, so that results can be published."""
    assert re.fullmatch(r"\d+ cores, \w+, Python \d+\.\d+\.\d+, PostgreSQL \d+\.\d+", machine())


async def test_a_request_is_made_when_it_is_due() -> None:
    """Also if all connections wait for answers: its time then includes that wait."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(5):
            await reader.readuntil(b"\r\n\r\n{}")
            await asyncio.sleep(0.2)
            writer.write(b"HTTP/1.1 202 Accepted\r\n\r\n")
        writer.close()

    made: list[float] = []

    def make(number: int) -> bytes:
        made.append(time.perf_counter())
        return wire.request(f"/{number}", b"{}")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    began = time.perf_counter()
    assert await wire.at_rate(port, make, 100, 5, connections=1) == [202] * 5
    assert made[-1] - made[0] < 0.2
    assert time.perf_counter() - began > 1
    server.close()
