"""`taskbell serve`, `demo` and `sandbox` where they cannot start: one answer, no crash loop."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from service.processes.port_check import demand_free
from tests.harness.commands import started, taskbell
from tests.harness.running import free_port

GOOD = "version: 1\n"
FAULTY = "version: 1\nrules:\n- id: a\n  when: task.complete\n- id: b\n  wen: task.completed\n"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def configure(folder: Path, text: str) -> None:
    (folder / "taskbell.yaml").write_text(text)


async def test_a_faulty_configuration_is_told_before_anything_starts(tmp_path: Path) -> None:
    """All faults with their places, exit code 1, and no server has left a trace."""
    configure(tmp_path, FAULTY)
    result = await taskbell(tmp_path, "serve")
    assert (result.code, result.out) == (1, "")
    assert "taskbell.yaml:4:9: there is no event task.complete" in result.err
    assert "taskbell.yaml:6:3: unknown key: wen" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["taskbell.yaml"]


async def test_a_port_that_is_taken_is_told_before_anything_starts(
    tmp_path: Path, taken: int
) -> None:
    """One sentence with the way out; the data of a demo at work is not touched."""
    demo_data = tmp_path / ".taskbell" / "demo" / "kept"
    demo_data.mkdir(parents=True)
    refused = await taskbell(tmp_path, "demo", PORT=str(taken))
    configure(tmp_path, GOOD)
    for result in (refused, await taskbell(tmp_path, "serve", PORT=str(taken))):
        assert result.code == 1
        assert result.err == (
            f"Another program already uses 127.0.0.1:{taken}, perhaps another Taskbell."
            f" Stop it, or choose another port, such as PORT={taken + 1}.\n"
        )
    assert demo_data.exists()


async def test_a_web_process_by_itself_says_so_too(tmp_path: Path, taken: int) -> None:
    """As the Procfile starts it, under whatever supervisor."""
    configure(tmp_path, GOOD)
    result = await taskbell(tmp_path, "web", PORT=str(taken))
    assert result.code == 1
    assert result.err.startswith(f"Another program already uses 127.0.0.1:{taken}")


def test_a_port_that_is_let_go_a_moment_later_is_free() -> None:
    """The web process of a Taskbell that was just killed is still ending."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        Timer(0.3, server.close).start()
        demand_free("127.0.0.1", port, "PORT=")


async def test_a_sandbox_names_the_option_that_chooses_its_port(tmp_path: Path, taken: int) -> None:
    """Of the two ports, the one that is taken."""
    free = str(free_port())
    result = await taskbell(tmp_path, "sandbox", "--port", free, "--smtp-port", str(taken))
    assert result.code == 1
    assert f"--smtp-port {taken + 1}" in result.err
    assert (await taskbell(tmp_path, "sandbox", "--port", "99999")).code == 2


async def test_a_database_that_is_away_is_one_clear_sentence(tmp_path: Path) -> None:
    """Before the processes are started, which would die one after the other."""
    configure(tmp_path, GOOD)
    result = await taskbell(
        tmp_path,
        "serve",
        PORT=str(free_port()),
        DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none",
        REDIS_URL=f"redis://127.0.0.1:{free_port()}",
    )
    assert (result.code, result.out) == (1, "")
    assert "cannot be used: the connection was refused" in result.err
    assert result.err.count("\n") == 1


async def test_a_data_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    """The embedded servers need a place for their files."""
    configure(tmp_path, GOOD)
    result = await taskbell(tmp_path, "serve", PORT=str(free_port()), TASKBELL_DATA="taskbell.yaml")
    assert result.code == 1
    assert (
        result.err
        == "Taskbell cannot store anything in taskbell.yaml: File exists. See TASKBELL_DATA.\n"
    )


async def test_settings_with_faults_are_told_all_at_once(tmp_path: Path) -> None:
    """All faulty settings are reported at once, one line each, with exit code 1."""
    wrong = {
        "PORT": "eighty",
        "WORKERS": "0",
        "LOG_LEVEL": "LOUD",
        "DATABASE_URL": "mysql://root@db/tasks",
    }
    result = await taskbell(tmp_path, "serve", **wrong)
    assert result.code == 1
    assert 'PORT must be a whole number, not "eighty"\n' in result.err
    assert "WORKERS must be at least 1, not 0\n" in result.err
    assert "DATABASE_URL: must begin with one of postgresql://, postgres://\n" in result.err
    assert 'LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not "LOUD"\n' in result.err


async def test_help_names_every_command(tmp_path: Path) -> None:
    """In the width of the terminal, and without colour where none is wanted."""
    result = await started(tmp_path, "--help", COLUMNS="80", NO_COLOR="1", FORCE_COLOR="1")
    assert result.code == 0
    assert not re.search(r"\x1b\[[0-9;]*[34][0-7]", result.out)
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.out)
    assert "Usage: taskbell" in text
    commands = ("serve", "demo", "sandbox", "check", "doctor", "migrate", "outbox", "accounts")
    for command in commands:
        assert f" {command} " in text
    assert max(map(len, text.splitlines())) <= 80
