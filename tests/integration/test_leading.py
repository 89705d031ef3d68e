"""What the supervisor hands over when the configuration changes, and what it says of the change."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.clock import VirtualClock
from service.diagnostics import Diagnostic
from service.processes.procfile import Program
from service.processes.supervisor import Supervisor
from service.reload import ConfigSnapshot, LoadedConfig, read
from service.reload.publisher import ConfigPublisher
from service.reload.report import report
from service.store import Pool
from tests.harness.corridor import TOKENS, Corridor, configured, corridor
from tests.harness.launching import SpawningLauncher
from tests.harness.waiting import eventually

LATE = "- { id: late, when: { task.overdue: 2h }, then: [{ notify: accounting }] }\n"
CALM = """
- { id: calm, when: { task.changed: [title] }, settle: 10m, then: [{ notify: accounting }] }
"""
TOLD = "- { id: told, when: task.created, then: [{ notify: accounting }] }\n"
WRONG = ConfigSnapshot(faults=(Diagnostic("taskbell.yaml", 1, 1, "there is no event task.creatd"),))

# Writes down every line that it hears, in a file that has its process id as name.
_NOTING = """
import os, sys
with open(os.path.join(sys.argv[1], str(os.getpid())), "wb", buffering=0) as notes:
    for line in sys.stdin.buffer:
        notes.write(line)
"""


class Programs:
    """A program under a supervisor, which is started again when it dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = (sys.executable, "-c", _NOTING, str(folder))
        self.supervisor = Supervisor([Program("one", command)], os.environ, SpawningLauncher())

    @property
    def heard(self) -> list[ConfigSnapshot]:
        """What the one that was started last has heard since then."""
        return [ConfigSnapshot.from_line(line) for line in self._last.read_bytes().splitlines()]

    async def hear(self, *words: ConfigSnapshot) -> None:
        """Wait until the one that was started last has heard exactly these."""
        await eventually(lambda: self._starts and self.heard == list(words))

    async def die(self) -> None:
        """Kill -9; returns when there is another one."""
        count = len(self._starts)
        os.kill(int(self._last.name), signal.SIGKILL)
        await eventually(lambda: len(self._starts) > count)

    @property
    def _starts(self) -> list[Path]:
        return list(self._folder.iterdir())

    @property
    def _last(self) -> Path:
        return max(self._starts, key=lambda one: one.stat().st_ctime_ns)


class Led:
    """A Taskbell's programs, and who leads them: with the rules of the beginning."""

    def __init__(self, taskbell: Corridor, programs: Programs) -> None:
        self.taskbell = taskbell
        self.programs = programs
        self.readings: asyncio.Queue[LoadedConfig] = asyncio.Queue()
        self.first = reading(taskbell, LATE + CALM + TOLD).word

    async def coming(self) -> AsyncIterator[LoadedConfig]:
        while True:
            yield await self.readings.get()


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with corridor(folder, pool, clock, LATE + CALM + TOLD) as running:
        await running.begin()
        yield running


@pytest.fixture
async def led(taskbell: Corridor, tmp_path: Path, database_url: str) -> AsyncIterator[Led]:
    led = Led(taskbell, Programs(tmp_path))
    supervisor = led.programs.supervisor
    leading = ConfigPublisher(supervisor, led.first, database_url, taskbell.clock, {})
    async with at_work(supervisor, leading, led):
        await led.programs.hear(led.first)
        yield led


@asynccontextmanager
async def at_work(
    supervisor: Supervisor, leading: ConfigPublisher, led: Led
) -> AsyncIterator[None]:
    supervising = asyncio.create_task(supervisor.run())
    following = asyncio.create_task(leading.run(led.coming(), lambda _: None))
    yield
    following.cancel()
    supervisor.stop()
    await supervising


def reading(taskbell: Corridor, rules: str) -> LoadedConfig:
    """What the configuration comes to with these rules."""
    configured(taskbell.folder, rules, taskbell.head)
    text = (taskbell.folder / "taskbell.yaml").read_text()
    return read(ConfigSnapshot(str(taskbell.folder), (("taskbell.yaml", text),)), TOKENS)


async def test_a_program_that_comes_back_gets_what_is_in_force(led: Led) -> None:
    """While the file has faults that is what was good before, and the faults; then the new one."""
    led.readings.put_nowait(LoadedConfig(WRONG, faults=WRONG.faults))
    await led.programs.hear(led.first, WRONG)
    await led.programs.die()
    await led.programs.hear(led.first, WRONG)
    changed = reading(led.taskbell, TOLD)
    led.readings.put_nowait(changed)
    await led.programs.hear(led.first, WRONG, changed.word)
    await led.programs.die()
    await led.programs.hear(changed.word)


async def test_a_change_is_compared_before_anybody_has_it(led: Led) -> None:
    """Afterwards what is in force would be the change itself, and nothing lost by it."""
    changed = reading(led.taskbell, TOLD)
    async with led.taskbell.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE rulesets IN ACCESS EXCLUSIVE MODE")
        led.readings.put_nowait(changed)
        await eventually(lambda: is_held_up(led.taskbell.pool))
        assert led.programs.heard == [led.first]
    await led.programs.hear(led.first, changed.word)


async def is_held_up(pool: Pool) -> bool:
    """Whether somebody waits for a table."""
    return bool(await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_the_log_counts_what_becomes_of_what_was_to_come(
    taskbell: Corridor, database_url: str
) -> None:
    """Alarms and waits of rules that are taken out are lost, messages that were planned are not."""
    first, second = taskbell.visit(), taskbell.visit()
    await taskbell.webhook([first, second])
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(str(first["id"]), name="Other"))
    with capture_logs() as logs:
        await report(database_url, reading(taskbell, TOLD).word, taskbell.clock, {})
    [line] = [one for one in logs if one["event"] == "configuration.loaded"]
    assert line["rules"] == {"same": 1, "removed": 2}
    assert line["alarms"] == {"lost": 2}
    assert line["waits"] == {"lost": 1}
    assert line["messages"] == {"kept": 2}
