"""What runs Taskbell on a single machine: compose, systemd and the image."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.programs import INFRA, ROOT, checked

UNITS = sorted((INFRA / "systemd").glob("*.service"))
DOCKERFILE = (INFRA / "Dockerfile").read_text(encoding="utf-8")
# In tenths, as systemd counts what a service could do if it were taken over: 10 is everything.
MOST_EXPOSED = 20


def test_compose_holds_to_its_specification() -> None:
    """Strictly: a misspelt key is no setting."""
    program = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    page = str(INFRA / "compose.yaml")
    ended = subprocess.run([*program, page], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, of a Taskbell that is where the tests run from."""
    here = str(Path(sys.executable).parent)
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/opt/taskbell/bin", here)
        (tmp_path / unit.name.replace("@.", "@1.")).write_text(text)
    return sorted(tmp_path.iterdir())


def test_systemd_takes_the_units(units: list[Path]) -> None:
    """It knows each setting, and finds what each starts."""
    assert checked("systemd-analyze", "verify", "--man=no", *units) == ""


def test_systemd_confines_the_units(units: list[Path]) -> None:
    """By its own reckoning: no root, nothing to write to, few calls to the kernel."""
    for unit in units:
        checked(
            *("systemd-analyze", "security", "--offline=true", "--no-pager"),
            *(f"--threshold={MOST_EXPOSED}", unit),
        )


def test_the_image_is_made_of_what_is_there() -> None:
    """Everything that is copied into it exists, and is not kept back from the build."""
    lists = (INFRA / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    let_in = {line.removeprefix("!") for line in lists if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source.removeprefix("./") for line in copied for source in line.split()}
    assert sources == let_in
    assert {name for name in sources if not (ROOT / name).exists()} == set()


def test_images_are_named_without_a_host() -> None:
    """Where they are fetched from is for whoever builds and runs them to say."""
    named = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    for page in [INFRA / "compose.yaml", *(INFRA / "kubernetes").rglob("*.yaml")]:
        named += re.findall(r"^\s*image: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) > 8
    assert [name for name in named if "." in name.partition("/")[0] and "/" in name] == []


def test_the_image_is_nobodys_and_says_whether_it_lives() -> None:
    """It runs as a user by number, which a cluster can tell from root, and is asked /healthz."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)$", last, re.MULTILINE) == ["10001"]
    [asked] = re.findall(r"^HEALTHCHECK .*?CMD (\[.*?\])$", last, re.MULTILINE | re.DOTALL)
    program = json.loads(asked.replace("\\\n", ""))
    assert program[:2] == ["python", "-c"]
    assert "/healthz" in program[2]
    compile(program[2], "the health check", "exec")
