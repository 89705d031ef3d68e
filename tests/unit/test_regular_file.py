"""Files that are named in configurations and settings, and are none."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from service import config
from service.document.files import MAX_BYTES
from service.errors import ConfigError, SettingsError
from service.regular_file import read_regular
from service.settings import read_settings

TEXT = """\
version: 1
accounts:
  sales: { system: rolodex, base_url: "https://x.test", token: "${file:FILE}", timezone: UTC }
rules:
  - { id: r, when: task.created, then: [{ notify: "email:a@b.test", template: file.liquid }] }
channels:
  email: { kind: email, url: "smtp://127.0.0.1", from: a@b.test }
"""


def _socket(path: Path) -> None:
    # A short way to it: the name of a socket has at most a hundred bytes.
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def _circle(path: Path) -> None:
    other = path.with_name("other")
    path.symlink_to(other)
    other.symlink_to(path)


def _written(folder: Path, text: str) -> Path:
    """The link to a file that holds this."""
    (folder / "written").write_text(f"{text}\n")
    (folder / "to it").symlink_to("written")
    return folder / "to it"


def _sparse(path: Path) -> None:
    with path.open("wb") as made:
        made.truncate(2**40)


ODD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pipe": (os.mkfifo, "it is a pipe, not a file"),
    "a device without end": (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    "a terminal": (lambda path: path.symlink_to("/dev/tty"), "it is a device"),
    "a socket": (_socket, "it is a socket"),
    "a folder": (Path.mkdir, "Is a directory"),
    "a circle of links": (_circle, "symbolic links"),
    "a link to nothing": (lambda path: path.symlink_to("/nowhere"), "No such file"),
}


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file that is none, and what is said of it."""
    make, said = ODD[request.param]
    path = tmp_path / "file.liquid"
    make(path)
    return path, said


def test_what_is_no_file_is_not_read(odd: tuple[Path, str]) -> None:
    """Nobody waits for it, and it fills no memory."""
    path, said = odd
    with pytest.raises(OSError, match=said):
        read_regular(path, 100)


def test_no_more_is_read_than_may_come(tmp_path: Path) -> None:
    """Of a terabyte of zeros, and of what the kernel makes up as it is read."""
    path = tmp_path / "sparse"
    _sparse(path)
    assert read_regular(path, 100) == b"\0" * 100
    assert len(read_regular(Path("/proc/self/maps"), 100)) == 100


def test_links_lead_to_files(tmp_path: Path) -> None:
    """As secrets come in a container."""
    link = _written(tmp_path, "postgresql://h/d")
    assert read_regular(link, 10) == b"postgresql"
    found = read_settings({"DATABASE_URL_FILE": str(link)})
    assert found.database == "postgresql://h/d"


@pytest.mark.parametrize("name", ["TASKBELL_ADMIN_TOKEN", "DATABASE_URL", "PORT"])
def test_a_setting_comes_out_of_a_file(name: str, odd: tuple[Path, str]) -> None:
    """Or there is a sentence that names the setting and what the file is."""
    path, said = odd
    with pytest.raises(SettingsError, match=f"{name}_FILE: .*{said}"):
        read_settings({f"{name}_FILE": str(path)})


def test_a_setting_is_short(tmp_path: Path) -> None:
    """A log file in place of the token's is no token."""
    path = tmp_path / "log"
    _sparse(path)
    with pytest.raises(SettingsError, match="REDIS_URL_FILE: the file has more than 65536 bytes"):
        read_settings({"REDIS_URL_FILE": str(path)})


def test_a_secret_and_a_template_come_out_of_files(odd: tuple[Path, str]) -> None:
    """Each is a fault at its place."""
    path, said = odd
    file = path.with_name("taskbell.yaml")
    file.write_text(TEXT.replace("FILE", str(path)))
    faults = [str(fault) for fault in config.check(file, {}, file)]
    [secret] = [one for one in faults if ":3:" in one]
    assert f"the file {path} cannot be read: " in secret
    assert said in secret
    [template] = [one for one in faults if ":5:" in one]
    assert "file.liquid" in template


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_configuration_is_a_file(odd: tuple[Path, str], *, as_folder: bool) -> None:
    """Also if it stands in a folder of them."""
    path, _ = odd
    if path.is_dir() and not as_folder:
        pytest.skip("a folder may be a configuration")
    named = path.rename(path.with_name("taskbell.yaml"))
    with pytest.raises(ConfigError, match=r"cannot be read|there is no such file"):
        config.load(named.parent if as_folder else named, {})


def test_a_template_is_bounded(tmp_path: Path) -> None:
    """A terabyte beside the configuration is over a megabyte."""
    _sparse(tmp_path / "file.liquid")
    file = tmp_path / "taskbell.yaml"
    file.write_text(TEXT.replace("${file:FILE}", "t"))
    with pytest.raises(ConfigError, match="the file is over 1 MB"):
        config.load(file, {})
    assert MAX_BYTES == 1_000_000


def test_a_folder_holds_so_many_files(tmp_path: Path) -> None:
    """Thousands of megabytes are no configuration."""
    for number in range(201):
        (tmp_path / f"{number}.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"more than 200 \.yaml files"):
        config.load(tmp_path, {})
