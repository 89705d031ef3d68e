"""How many inputs are tried, and by which seed."""

import os
from random import Random

import pytest

FEW = 4_000  # where it is a part of `make test`


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `seed` one of its own in each run, and always the same in short."""
    if "seed" in metafunc.fixturenames:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID") if inputs_asked(metafunc.config) else "test"
        seed = Random(f"{run} {metafunc.function.__name__}").randrange(10**6)  # noqa: S311
        metafunc.parametrize("seed", [seed])


def inputs_asked(config: pytest.Config) -> int | None:
    found: int | None = config.getoption("--fuzz")
    return found


@pytest.fixture
def inputs(request: pytest.FixtureRequest) -> int:
    """How many bad inputs are tried in all, over all tests of this folder."""
    return inputs_asked(request.config) or FEW
