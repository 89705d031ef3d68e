"""Schemathesis against the running service: it reads the description, and asks accordingly."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from service.clock import VirtualClock
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness import full_office
from tests.harness.site import Site, serving

SCHEMATHESIS = Path(sys.executable).parent / "st"
# Most requests ask for something that is there.
WHAT_IS_THERE = """
[dictionaries.numbers]
values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
[dictionaries.tasks]
values = ["T1", "T2", "T3"]
[dictionaries.accounts]
values = ["open", "london", "field", "sales"]
[dictionaries.rules]
values = ["job-done", "overdue-nudge", "hostile", "off-today"]

[parameters]
"query.task" = { dictionary = "tasks", probability = 0.5 }
"query.account" = { dictionary = "accounts", probability = 0.5 }
"query.rule" = { dictionary = "rules", probability = 0.5 }
"body.rule" = { dictionary = "rules", probability = 0.5 }

[[operations]]
include-path-regex = "/(events|decisions|deliveries|receipts|silences|storms|holds|audit)/"
[operations.parameters]
"path.id" = { dictionary = "numbers", probability = 0.8 }
[[operations]]
include-path-regex = "/tasks/"
[operations.parameters]
"path.id" = { dictionary = "tasks", probability = 0.8 }
[[operations]]
include-path-regex = "/accounts/"
[operations.parameters]
"path.id" = { dictionary = "accounts", probability = 0.8 }
[[operations]]
include-path-regex = "/rules/"
[operations.parameters]
"path.id" = { dictionary = "rules", probability = 0.8 }
"""


@pytest.fixture
async def office(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> AsyncIterator[Site]:
    """A firm with one of everything, open to this machine: wrong tokens would be throttled."""
    config = full_office.configured(tmp_path, people="")
    async with serving(config, pool, clock, valkey.url) as running:
        await full_office.fill(pool, clock)
        yield running


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_it_finds_no_fault(
    office: Site, tmp_path: Path, method: str, *, soaking: bool
) -> None:
    """What may be asked is answered as described, what may not is refused, and nothing breaks."""
    (tmp_path / "schemathesis.toml").write_text(WHAT_IS_THERE)
    (tmp_path / "openapi.json").write_bytes(await _strict_description(office))
    asked = await asyncio.create_subprocess_exec(
        *(SCHEMATHESIS, "run", "openapi.json", "--url", f"http://127.0.0.1:{office.port}"),
        *("--include-method", method, "--no-color"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "100" if soaking else "3"),
        *(() if soaking else ("--seed", "1", "--generation-deterministic")),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asked.communicate()
    assert asked.returncode == 0, said.decode()


async def _strict_description(office: Site) -> bytes:
    """What the service says of itself, without its answer to what is not even a request.

    That answer stands for every status that is not described; what is asked here are requests.
    """
    document = (await office.client.get("/api/v1/openapi.json")).json()
    for path in document["paths"].values():
        for method in path.keys() - {"parameters"}:
            del path[method]["responses"]["default"]
    return orjson.dumps(document)
