"""What belongs to Taskbell is this user's alone, whatever others have put in its way."""

import os
import socket
from pathlib import Path
from tempfile import gettempdir

import pytest

from service.processes.private_folder import (
    NotPrivate,
    make_data_folder,
    make_private,
    remove_socket_folder,
    socket_folder,
)
from tests.harness.other_users import COLLEAGUE, STRANGER, give, only_root, user_id

OURS = {os.geteuid()}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_new_folder_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    """With the folders above it, which are as all folders are."""
    before = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "b") == 0o700


@pytest.mark.parametrize("wider", [0o755, 0o750, 0o777, 0o1777, 0o2770, 0o701])
def test_a_folder_that_others_could_enter_is_closed(tmp_path: Path, wider: int) -> None:
    """Taskbell made it in an older version, or a person did with `mkdir`."""
    data = tmp_path / "data"
    (data / "postgres").mkdir(parents=True)
    data.chmod(wider)
    make_data_folder(data, {"postgres"}, OURS)
    assert mode(data) == 0o700


def test_a_folder_with_other_things_in_it_is_not_closed(tmp_path: Path) -> None:
    """Who says TASKBELL_DATA=/srv does not mean to lock everybody out of /srv."""
    (tmp_path / "www").mkdir()
    tmp_path.chmod(0o755)
    with pytest.raises(
        NotPrivate, match=r"such as www: set TASKBELL_DATA to a folder that only Taskbell uses"
    ):
        make_data_folder(tmp_path, {"postgres"}, OURS)
    assert mode(tmp_path) == 0o755
    tmp_path.chmod(0o700)
    make_data_folder(tmp_path, {"postgres"}, OURS)


@only_root
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """He could have left anything in it, and could open it again."""
    theirs = give(tmp_path, STRANGER)
    with pytest.raises(NotPrivate, match=r"belongs to nobody, not to root: start Taskbell as nob"):
        make_data_folder(theirs, set(), OURS)
    with pytest.raises(NotPrivate, match="belongs to nobody, not to daemon"):
        make_private(theirs, user_id(COLLEAGUE))


@only_root
def test_what_somebody_else_has_left_in_an_open_folder_is_refused(tmp_path: Path) -> None:
    """Such as a link in the place of a file that is about to be written."""
    (tmp_path / "lock").symlink_to("/etc/passwd")
    os.lchown(tmp_path / "lock", user_id(STRANGER), -1)
    tmp_path.chmod(0o777)
    with pytest.raises(NotPrivate, match="lock in it belongs to nobody: remove it"):
        make_data_folder(tmp_path, {"lock"}, OURS)


def test_a_short_and_plain_path_holds_the_socket_itself(folder: Path) -> None:
    """As in most data folders; nothing is made elsewhere, and nothing is removed."""
    assert socket_folder(folder, "sock", os.geteuid()) == folder
    remove_socket_folder(folder, folder)
    assert folder.exists()


@pytest.mark.parametrize("name", ["x" * 150, "a b", "a,b", "a%20b", "a?b", "é", 'a"b', "a\nb"])
def test_another_path_gets_a_short_one_that_nobody_can_guess(tmp_path: Path, name: str) -> None:
    """One that a socket can have, and that needs no quotes in an address; closed, and new."""
    data = tmp_path / name
    data.mkdir()
    first, second = (socket_folder(data, "name.sock", os.geteuid()) for _ in range(2))
    try:
        assert first != second
        assert mode(first) == 0o700
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(first / "name.sock"))
        (first / "name.sock").unlink()
    finally:
        for one in (first, second):
            remove_socket_folder(one, data)
            assert not one.exists()


def test_a_long_temporary_folder_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TMPDIR may be as long as the data folder is."""
    long = tmp_path / ("x" * 150)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    made = socket_folder(long, "name.sock", os.geteuid())
    remove_socket_folder(made, long)
    assert len(str(made)) < 50
    monkeypatch.undo()
    assert gettempdir() != str(long)


@only_root
def test_a_server_without_rights_gets_a_folder_that_it_can_reach(tmp_path: Path) -> None:
    """Root's PostgreSQL cannot enter root's folders; its socket is in one of its own."""
    tmp_path.chmod(0o700)
    (tmp_path / "data").mkdir()
    made = socket_folder(tmp_path / "data", "sock", user_id(STRANGER))
    assert made.parent != tmp_path
    assert (made.stat().st_uid, mode(made)) == (user_id(STRANGER), 0o700)
    remove_socket_folder(made, tmp_path / "data")
