"""The simulation finds defects: with each of these in the code, a law is broken."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.simulation.mutants import FOUND_SOON, MUTANTS
from tests.simulation.test_histories import IS_SOAKING, simulate, url

__all__ = ["url"]


@pytest.mark.parametrize("name", MUTANTS if IS_SOAKING else FOUND_SOON)
def test_a_defect_breaks_a_law(url: str, name: str) -> None:
    """One of a thousand histories shows it; for most a few are enough."""
    ended = simulate("0-999", "--url", url, "--mutant", name, "--first")
    assert ended.returncode == 1, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", MUTANTS)
def test_each_defect_can_still_be_put_in(name: str) -> None:
    """The code has the text that the mutant replaces, once; what comes of it is Python."""
    mutant = MUTANTS[name]
    spec = find_spec(mutant.module)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin)
    compile(mutant.apply(path.read_text(encoding="utf-8")), path, "exec")
