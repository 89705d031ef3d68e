"""The tests here want the system's own servers, and run with --real only."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import skipping_what_is_not_here


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.getoption("--real") else True


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the users of other servers may enter."""
    with TemporaryDirectory(prefix="taskbell-") as name, skipping_what_is_not_here():
        Path(name).chmod(0o755)
        yield Path(name)
