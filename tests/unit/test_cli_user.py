"""`taskbell user add`: asks for a password, and prints what belongs into the configuration."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.config import load
from service.domain.actors import Role
from service.settings import passwords

PASSWORD = "correct horse battery"


@pytest.mark.parametrize("name", ["anna", "anna@example.com", "on", "12", "Jürgen"])
def test_what_it_prints_lets_somebody_sign_in(name: str, tmp_path: Path) -> None:
    """The lines are a part of a configuration, whatever YAML takes the name for."""
    given = ["user", "add", name, "--role", "viewer"]
    told = CliRunner().invoke(app, given, input=f"{PASSWORD}\n")
    assert told.exit_code == 0
    assert "Put these lines into the configuration" in told.stderr
    (tmp_path / "taskbell.yaml").write_text(f"version: 1\n{told.stdout}", encoding="utf-8")
    [user] = load(tmp_path / "taskbell.yaml", {}).users.values()
    assert (user.name, user.role) == (name, Role.VIEWER)
    assert passwords.is_right(PASSWORD, user.hash.get_secret_value())
    assert user.hash.get_secret_value() not in repr(user)


def test_json_is_for_scripts() -> None:
    """The same, and nothing else."""
    told = CliRunner().invoke(app, ["user", "add", "bo", "--json"], input=f"{PASSWORD}\n")
    user = orjson.loads(told.stdout)
    assert (user["name"], user["role"]) == ("bo", "operator")
    assert passwords.is_right(PASSWORD, user["password"])


@pytest.mark.parametrize(
    ("name", "password", "says"),
    [
        ("anna", "short", "at least 12 characters"),
        ("anna", "", "at least 12 characters"),
        ("anna", "x" * 2000, "more than 1000 characters"),
        ("the admin token", PASSWORD, "cannot be a user's name"),
        ("", PASSWORD, "cannot be a user's name"),
    ],
)
def test_wrong_use_is_said(name: str, password: str, says: str) -> None:
    """A password that can be guessed, and a name that could be taken for something else."""
    told = CliRunner().invoke(app, ["user", "add", name], input=f"{password}\n")
    assert told.exit_code == 2
    assert says in " ".join(told.stderr.replace("│", "").split())
    assert told.stdout == ""


def test_at_a_terminal_it_is_asked_twice_and_not_shown() -> None:
    """Until both are the same; what is typed does not appear."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "service", "user", "add", "anna"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as running:
        os.close(theirs)
        shown = b""
        for typed in ("correct horse batter", PASSWORD, PASSWORD, PASSWORD):
            while not shown.endswith(b": "):
                shown += os.read(ours, 1000)
            os.write(ours, f"{typed}\n".encode())
            shown += os.read(ours, 1000)
        printed, _ = running.communicate(timeout=30)
    os.close(ours)
    assert running.returncode == 0
    assert b"correct" not in shown
    [line] = [one for one in printed.splitlines() if "password" in one]
    assert passwords.is_right(PASSWORD, line.partition('"')[2].rstrip('"'))


USERS = """
version: 1
users:
  anna: { role: viewer, password: "${ANNA_HASH}" }
  Bo:
    role: admin
    password: "${BO_HASH}"
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with users, and a shell without the variables that it names."""
    (tmp_path / "taskbell.yaml").write_text(USERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "taskbell.yaml"


@pytest.mark.usefixtures("written")
def test_users_are_listed_without_their_passwords() -> None:
    """With the line where each stands; no database and no variable is needed."""
    told = CliRunner().invoke(app, ["user", "list"])
    assert (told.exit_code, told.stderr) == (0, "")
    assert [line.split() for line in told.stdout.splitlines()[1:]] == [
        ["anna", "viewer", "taskbell.yaml:4"],
        ["Bo", "admin", "taskbell.yaml:5"],
    ]
    listed = orjson.loads(CliRunner().invoke(app, ["user", "list", "--json"]).stdout)
    assert listed[1] == {"name": "Bo", "role": "admin", "file": "taskbell.yaml:5"}


def test_remove_says_what_to_delete_and_changes_nothing(written: Path) -> None:
    """A name is compared as at the login; an unknown one is exit code 1 with a suggestion."""
    told = CliRunner().invoke(app, ["user", "remove", "bo"])
    assert told.exit_code == 0
    assert told.stdout == (
        "Delete Bo under users: in the configuration, taskbell.yaml:5."
        " This command changes no file.\n"
    )
    assert written.read_text(encoding="utf-8") == USERS
    unknown = CliRunner().invoke(app, ["user", "remove", "ana"])
    assert unknown.exit_code == 1
    assert "there is no user ana; did you mean anna" in str(unknown.exception)


def test_without_users_the_list_says_how_to_make_one(written: Path) -> None:
    """An empty list is a sentence, and [] for scripts."""
    written.write_text("version: 1\n", encoding="utf-8")
    assert "taskbell user add NAME" in CliRunner().invoke(app, ["user", "list"]).stdout
    assert CliRunner().invoke(app, ["user", "list", "--json"]).stdout == "[]\n"


@pytest.mark.parametrize("users", ["[anna]", "{ anna: { role: king, password: hunter2hunter2 } }"])
def test_users_with_errors_are_told_without_secrets(written: Path, users: str) -> None:
    """The error names the line; no part of a password is in it."""
    written.write_text(f"version: 1\nusers: {users}\n", encoding="utf-8")
    told = CliRunner().invoke(app, ["user", "list"])
    assert told.exit_code == 1
    assert "taskbell.yaml:2" in str(told.exception)
    assert "hunter2" not in str(told.exception)
