"""The wheel starts anywhere: in any folder, by any user, and where nobody may write its code."""

import asyncio
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import pytest

from tests.harness.commands import clean_environment
from tests.harness.installed import ROOT, Installed, build, install
from tests.harness.other_users import COLLEAGUE, STRANGER, command_of, give
from tests.harness.running import free_port
from tests.harness.serving import TIME_TO_END, at_work, said
from tests.harness.waiting import eventually

PATIENCE = 60.0  # seconds, in which the demo has sent something, beside other tests
IS_ROOT = os.geteuid() == 0
# What else a person may have in a folder; Python would take it for the module of this name.
IN_THE_WAY = ("workers.py", "asyncpg.py", "service/__init__.py", "types.py")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that every user can enter, with a space in its path."""
    with TemporaryDirectory(prefix="taskbell installed ") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    return build(place / "built")


@pytest.fixture(scope="module")
def installed(place: Path, wheel: Path, pytestconfig: pytest.Config) -> Iterator[Installed]:
    """The environment that `--installed` names, or a new one that nobody may write in."""
    if named := pytestconfig.getoption("--installed"):
        yield Installed(Path(named).absolute())
        return
    fresh = install(wheel, place / "environment")
    with read_only(fresh.environment):
        yield fresh


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write in the folder; at its end its owner again, so that it can be removed."""
    parts = [one for one in (folder, *folder.rglob("*")) if not one.is_symlink()]
    for one in parts:
        one.chmod(one.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield
    for one in parts:
        one.chmod(one.stat().st_mode | stat.S_IWUSR)


def test_the_wheel_holds_all_that_the_sources_do(wheel: Path) -> None:
    """Programs, pages, migrations; and the table of processes, which is the one at the top."""
    sources = {
        str(path.relative_to(ROOT))
        for package in ("service", "workers")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        assert sources <= set(archive.namelist())
        held = archive.read("service/processes/Procfile").decode()
    assert held == (ROOT / "Procfile").read_text()


@pytest.mark.timeout(180)
async def test_two_users_run_the_demo_at_once_in_folders_of_theirs(
    installed: Installed, place: Path
) -> None:
    """Beside files whose names are in the way; a second one in the same folder is refused."""
    users = (STRANGER, COLLEAGUE) if IS_ROOT else (None, None)
    homes = [home_of(user, place / f"home {number}") for number, user in enumerate(users)]
    version = await taskbell(installed, users[0], homes[0], "--version")
    assert version.stdout == b"taskbell 0.1.0\n"
    with demo(installed, users[0], homes[0]) as first, demo(installed, users[1], homes[1]) as other:
        for home in homes:
            await eventually(partial(has_sent, home), PATIENCE)
        listed = await taskbell(installed, users[1], homes[1], "outbox", "list", "--json")
        assert b'"sent"' in listed.stdout, listed.stderr
        twice = await taskbell(installed, users[0], homes[0], "demo")
        assert twice.stderr.decode() == (
            "Another Taskbell already uses .taskbell/demo. Stop it, or set a different"
            " TASKBELL_DATA for this one.\n"
        )
        assert (twice.returncode, twice.stdout) == (1, b"")
        for process in (first, other):
            process.terminate()
            assert await asyncio.to_thread(process.wait, TIME_TO_END) == 0
    assert [one for home in homes for one in at_work(home)] == []


def has_sent(home: Path) -> bool:
    return "🔔" in said(home)


def home_of(user: str | None, folder: Path) -> Path:
    """A folder that only this user can enter, in which he keeps this and that."""
    for name in IN_THE_WAY:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise SystemExit('this is not Taskbell')\n")
    folder.chmod(0o700)
    return folder if user is None else give(folder, user)


@contextmanager
def demo(installed: Installed, user: str | None, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "said").open("wb") as output:
        process = subprocess.Popen(
            command(installed, user, "demo"),
            cwd=home,
            env=environment(PORT=str(free_port()), WORKERS="1"),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(TIME_TO_END)


async def taskbell(
    installed: Installed, user: str | None, home: Path, *words: str
) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(
        subprocess.run,
        command(installed, user, *words),
        cwd=home,
        env=environment(PORT=str(free_port())),
        capture_output=True,
        timeout=PATIENCE,
    )


def command(installed: Installed, user: str | None, *words: str) -> list[str]:
    ours = [installed.taskbell, *words]
    return ours if user is None else command_of(user, *ours)


def environment(**more: str) -> dict[str, str]:
    return clean_environment(HOME="/nonexistent", COLUMNS="1000", **more)
