"""The supervisor keeps things running, and ends them in good order."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from service.processes.embedded import EmbeddedPostgres, EmbeddedValkey
from service.processes.procfile import Program, read_procfile
from service.processes.reaper import guarded
from service.processes.supervisor import CannotRun, Supervisor
from tests.harness.launching import SpawningLauncher
from tests.harness.serving import at_work
from tests.harness.waiting import eventually

# Notes each start; dies at once until it has been started twice, then waits to be told to stop.
_SHORT_LIVED = """
import pathlib, signal, sys, time
notes = pathlib.Path(sys.argv[1])
def stop(*_):
    with notes.open("a") as file: file.write("stopped\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with notes.open("a") as file: file.write("started\\n")
if notes.read_text().count("started") < 2: sys.exit(3)
time.sleep(60)
"""


# Runs the program given to it under a supervisor.
_SUPERVISING = """
import asyncio, os, sys
from service.processes import fork_server
from service.processes.procfile import Program
from service.processes.supervisor import Supervisor
program = Program("one", (sys.argv[1], "-c", *sys.argv[2:]))
with fork_server.running() as launcher:
    asyncio.run(Supervisor([program], os.environ, launcher).run())
"""

# Has itself told of its supervisor's end, and notes its own.
_SUPERVISED = """
import os, pathlib, signal, sys, time
from service.processes.parent_pipe import end_with_supervisor
notes = pathlib.Path(sys.argv[1])
def stop(*_):
    with notes.open("a") as file: file.write("stopped\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
end_with_supervisor(os.environ)
with notes.open("a") as file: file.write("started\\n")
time.sleep(60)
"""


# Starts a PostgreSQL on the folder that it is given.
_BEGINNING = """
import pathlib, sys
from service.processes.embedded import EmbeddedPostgres
EmbeddedPostgres(pathlib.Path(sys.argv[1]))
"""


# Starts a Valkey on the folder that it is given, and is killed before that responds.
_KILLED = """
import os, pathlib, signal, sys
from service.processes.embedded import EmbeddedValkey
from service.processes.reaper import guarded
class Killed(EmbeddedValkey):
    def is_running(self): os.kill(os.getpid(), signal.SIGKILL)
folder = pathlib.Path(sys.argv[1])
with guarded([folder], os.open(folder.parent, os.O_RDONLY)): Killed(folder)
"""


# Notes what its supervisor says, until it is told to die.
_LISTENING = """
import asyncio, os, pathlib, sys
from service.processes.parent_pipe import end_with_supervisor
notes, line = pathlib.Path(sys.argv[1]), end_with_supervisor(os.environ)
async def listen():
    async for said in line.lines():
        if said == b"die": os._exit(3)
        with notes.open("a") as file: file.write(said.decode() + "\\n")
asyncio.run(listen())
"""


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[None]:
    task = asyncio.create_task(supervisor.run())
    try:
        yield
    finally:
        supervisor.stop()
        await task


async def test_what_dies_is_started_again_and_all_is_stopped_in_the_end(tmp_path: Path) -> None:
    """A process that dies comes back; at the end it is asked to stop, and may finish."""
    notes = tmp_path / "notes"
    notes.touch()
    program = Program("short", (sys.executable, "-c", _SHORT_LIVED, str(notes)))
    async with running(Supervisor([program], os.environ, SpawningLauncher())):
        await eventually(lambda: notes.read_text().count("started") == 2)
    assert notes.read_text().split() == ["started", "started", "stopped"]


async def test_what_never_runs_ends_the_others_too(tmp_path: Path) -> None:
    """After a few tries the whole is over, with a sentence; the others may finish first."""
    notes = tmp_path / "notes"
    notes.write_text("started\n")
    good = Program("good", (sys.executable, "-c", _SHORT_LIVED, str(notes)))
    bad = Program("bad", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(CannotRun, match=r"bad cannot run: .* 5 times in a row, .* code 3"):
        await Supervisor([good, bad], os.environ, SpawningLauncher()).run()
    assert notes.read_text().split() == ["started", "started", "stopped"]


async def test_a_program_is_told_to_end_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    """The supervisor is killed: the program gets SIGTERM all the same, and may finish."""
    notes = tmp_path / "notes"
    notes.touch()
    words = (sys.executable, "-c", _SUPERVISING, sys.executable, _SUPERVISED, str(notes))
    supervisor = await asyncio.create_subprocess_exec(*words)
    await eventually(lambda: "started" in notes.read_text())
    supervisor.kill()
    await supervisor.wait()
    await eventually(lambda: notes.read_text().split() == ["started", "stopped"])


async def test_a_program_hears_what_is_said_and_one_that_comes_back_what_counts_now(
    tmp_path: Path,
) -> None:
    """Each line reaches the program; after its death it begins with what it has to know."""
    notes = tmp_path / "notes"
    notes.touch()
    program = Program("one", (sys.executable, "-c", _LISTENING, str(notes)))
    supervisor = Supervisor([program], os.environ, SpawningLauncher())
    supervisor.tell(b"first\n", b"first\n")
    async with running(supervisor):
        await eventually(lambda: notes.read_text().split() == ["first"])
        supervisor.tell(b"second\n", b"both\n")
        await eventually(lambda: notes.read_text().split() == ["first", "second"])
        supervisor.tell(b"die\n", b"both\n")
        await eventually(lambda: notes.read_text().split()[2:] == ["both"])


async def test_a_guardian_that_is_killed_comes_back(folder: Path) -> None:
    """It is kept running like the servers that it is there for."""
    with (folder / "lock").open("w") as lock, guarded([folder], lock.fileno()) as guardian:
        async with running(Supervisor([], os.environ, SpawningLauncher(), [guardian])):
            await eventually(lambda: guardians(folder))
            [first] = guardians(folder)
            first.kill()
            await eventually(lambda: guardians(folder) not in ([], [first]))


async def test_a_guardian_leaves_alone_who_has_the_number_of_a_dead_server(folder: Path) -> None:
    """PostgreSQL's note outlives a power cut, after which its number is somebody else's."""
    somebody = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=PIPE)
    note = [somebody.pid, folder, 1795331612, 5432, folder, "", "1 1", "ready"]
    (folder / "postmaster.pid").write_text("\n".join(map(str, note)))
    with (folder / "lock").open("w") as lock, guarded([folder], lock.fileno()):
        pass
    await asyncio.sleep(0.1)
    assert somebody.returncode is None
    await somebody.communicate(b"\n")


def guardians(folder: Path) -> list[psutil.Process]:
    """Those of this folder that are alive; of one that is dead nobody knows the command."""
    return [
        one
        for one in psutil.process_iter(["cmdline"])
        if {"service.processes.reaper", str(folder)} <= set(one.info["cmdline"] or ())
    ]


async def test_an_embedded_server_that_is_killed_comes_back_at_its_address(folder: Path) -> None:
    """Valkey dies: the supervisor starts it again where everybody looks for it."""
    with EmbeddedValkey(folder) as valkey:
        url = valkey.url
        async with running(Supervisor([], os.environ, SpawningLauncher(), [valkey])):
            valkey.kill()
            await eventually(valkey.is_running)
        assert valkey.url == url


async def test_postgres_killed_comes_back_with_its_data(folder: Path) -> None:
    """The postmaster is killed: the supervisor starts it again on the same files."""
    postgres = EmbeddedPostgres(folder / "data")
    try:
        async with running(Supervisor([], os.environ, SpawningLauncher(), [postgres])):
            os.kill(postgres.pid, 9)
            await eventually(lambda: not postgres.is_running())
            await eventually(postgres.is_running)
    finally:
        postgres.stop()


async def test_a_first_start_that_is_killed_leaves_no_half_of_a_database(folder: Path) -> None:
    """The power fails while the database is being made: the next start makes it whole."""
    words = (sys.executable, "-c", _BEGINNING, str(folder / "data"))
    beginning = await asyncio.create_subprocess_exec(*words)
    await eventually((folder / "data.new" / "PG_VERSION").exists)
    assert not (folder / "data").exists()
    beginning.kill()
    await beginning.wait()
    postgres = EmbeddedPostgres(folder / "data")
    postgres.stop()
    assert not (folder / "data.new").exists()


async def test_a_guardian_leaves_no_sockets_behind(folder: Path) -> None:
    """They are not in the data folder where its path is too long."""
    far = folder / ("x" * 150)
    far.mkdir()
    with (folder / "lock").open("w") as lock:
        with guarded([far / "data", far / "valkey"], lock.fileno()):
            postgres, valkey = EmbeddedPostgres(far / "data"), EmbeddedValkey(far / "valkey")
            places = [socket_in(postgres.url), socket_in(valkey.url)]
            assert all(place.is_dir() and far not in place.parents for place in places)
        assert not postgres.is_running()
        assert not valkey.is_running()
        assert not any(place.exists() for place in places)
    valkey.stop()
    postgres.stop()


def socket_in(url: str) -> Path:
    """The folder of the socket at which a server answers."""
    parts = urlsplit(url)
    return Path(parse_qs(parts.query)["host"][0]) if parts.query else Path(parts.path).parent


def test_a_procfile_names_programs(tmp_path: Path) -> None:
    """Each line is a name and a command; python is the interpreter that reads it."""
    path = tmp_path / "Procfile"
    path.write_text("web: python -m service web\n\nother: echo 'two words'\n")
    assert read_procfile(path) == [
        Program("web", (sys.executable, "-m", "service", "web")),
        Program("other", ("echo", "two words")),
    ]


def test_several_of_a_kind_are_numbered(tmp_path: Path) -> None:
    """How many there are of a line is said beside the Procfile; each has a name of its own."""
    path = tmp_path / "Procfile"
    path.write_text("web: one\nworker: two\n")
    names = [program.name for program in read_procfile(path, worker=2)]
    assert names == ["web", "worker.1", "worker.2"]


async def test_a_valkey_that_was_starting_ends_with_a_supervisor_that_was_killed(
    tmp_path: Path,
) -> None:
    """The guardian knows its address before it responds, and waits for it for a moment."""
    words = (sys.executable, "-c", _KILLED, str(tmp_path / "valkey"))
    process = await asyncio.create_subprocess_exec(*words)
    assert await process.wait() < 0
    await eventually(lambda: at_work(tmp_path) == [])
