"""The web process's site, for every test that asks it something."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.site import Site, site


@pytest.fixture
async def web(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """A site without an admin token, open to this machine."""
    async with site(tmp_path, pool, clock, valkey.url) as running:
        yield running
