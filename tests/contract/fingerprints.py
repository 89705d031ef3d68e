"""Prints what each system's sample task looks like; to be run in a process of its own."""

import asyncio

from service.clock import SystemClock
from service.http.client import open_client
from service.sources import systems
from service.sources.fingerprints import fingerprint
from tests.contract.source_rig import connect, sample


async def main() -> None:
    async with open_client([]) as client:
        for system in sorted(systems()):
            source = connect(system, SystemClock(), client, "https://system.test")
            raw = source.trim(sample(system, "task"))
            print(system, fingerprint(source.list_view(raw)).hex())


asyncio.run(main())
