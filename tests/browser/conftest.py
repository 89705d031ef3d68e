"""A real browser, and a site in it that has one of everything to show."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from arq.constants import health_check_key_suffix
from playwright.async_api import Browser, async_playwright
from redis.asyncio import Redis

from service.clock import VirtualClock
from service.doorbell import QUEUE
from service.processes.embedded import EmbeddedValkey
from service.sandbox.app import Sandbox, running
from service.store import Pool
from tests.browser.pages import TOKEN
from tests.harness import full_office
from tests.harness.programs import find
from tests.harness.site import Site, serving


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests of a process; without it they are skipped."""
    path = find("chromium")
    if path is None:
        pytest.skip("chromium is not installed; `make test` says why")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path)
        yield chromium
        await chromium.close()


@pytest.fixture
async def office(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """A firm with users, and one of everything to show; a worker is at work.

    Its configuration can be saved on the page, and there is an inbox as in the demo.
    """
    config = full_office.configured(tmp_path)
    async with Redis.from_url(valkey.url) as redis, running(Sandbox(clock)) as sandbox:
        settings: dict[str, Any] = {
            "TASKBELL_CONFIG": str(tmp_path / "taskbell.yaml"),
            "TASKBELL_EDIT": "on",
            "TASKBELL_INBOX": f"{sandbox}/inbox",
        }
        await full_office.post(sandbox)
        async with serving(config, pool, clock, valkey.url, TOKEN, **settings) as site:
            await redis.set(QUEUE + health_check_key_suffix, "at work")
            await full_office.fill(pool, clock)
            yield site
        await redis.delete(QUEUE + health_check_key_suffix)
