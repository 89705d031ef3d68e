"""The first thing that anybody sees: `serve` in an empty folder is the demo, and it rings."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.commands import taskbell
from tests.harness.running import free_port
from tests.harness.serving import TIME_TO_END, at_work, press_ctrl_c, said, serving

FIRST_IMPRESSION = 30.0  # seconds, as promised
FIRST_MINUTE = 30.0  # seconds more
CAUSES = {"webhook", "poll", "clock"}
TOLD = (
    "(reported at once, by webhook)",
    "(found when Taskbell read the system)",
    "(at the planned time)",
)


@pytest.mark.timeout(150)
async def test_within_thirty_seconds_a_person_sees_what_it_is_for(folder: Path) -> None:
    """Deliveries by webhook, poll and clock; then Ctrl-C ends everything, and it starts again."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    with serving(folder, port) as process:
        async with asyncio.timeout(FIRST_IMPRESSION), httpx.AsyncClient() as client:
            while await causes_of_what_was_sent(client, url) < CAUSES:
                await asyncio.sleep(0.2)
            while "on_the_way" not in await inbox(client, folder):
                await asyncio.sleep(0.2)
            page = (await client.get(url)).text
            while not all(words in said(folder) for words in TOLD):
                await asyncio.sleep(0.2)
        for words in (*TOLD, "on the way"):
            assert words in page
        await another_terminal_sees_it(folder)
        async with asyncio.timeout(FIRST_MINUTE), httpx.AsyncClient() as client:
            while not await has_cases_to_decide(client, url):
                await asyncio.sleep(0.5)
            assert "Gwen Thomas" in (await client.get(f"{url}/inbox")).text
            assert "/inbox" in (await client.get(url)).text
        names = " ".join(at_work(folder))
        assert all(
            name in names for name in ("postgres", "valkey", "taskbell: worker", "taskbell: web")
        )
        press_ctrl_c(process)
        assert await asyncio.to_thread(process.wait, TIME_TO_END) == 0
    assert at_work(folder) == []
    assert (await taskbell(folder, "outbox", "list", "--json")).json, "it is still there to read"
    assert (await taskbell(folder, "plan")).out.endswith("demo.yaml changes nothing\n")

    with serving(folder, port) as process:
        async with asyncio.timeout(FIRST_IMPRESSION), httpx.AsyncClient() as client:
            while not await causes_of_what_was_sent(client, url):
                await asyncio.sleep(0.2)
        press_ctrl_c(process)
        assert await asyncio.to_thread(process.wait, TIME_TO_END) == 0
    assert at_work(folder) == []


async def another_terminal_sees_it(folder: Path) -> None:
    """A command in the demo's folder finds it by itself, and changes nothing for it."""
    assert "taskbell outbox list (in this folder)" in said(folder)
    accounts = await taskbell(folder, "accounts", "list", "--json")
    assert {one["name"]: one["state"] for one in accounts.json} == {"london": "ok", "field": "ok"}
    health = await taskbell(folder, "doctor", "--json")
    assert health.code == 0, health.json
    found = {one["subject"] for one in health.json["findings"]}
    assert found >= {"settings", "database", "redis", "worker", "configuration"}
    assert any("london" in subject for subject in found)
    for command in ("next", "backtest", "replay"):
        told = await taskbell(folder, command, "--json")
        assert told.code == 0, told.err


async def causes_of_what_was_sent(client: httpx.AsyncClient, url: str) -> set[str]:
    """How the events behind all deliveries that were sent came to be known."""
    try:
        sent = await listed(client, f"{url}/api/v1/deliveries?state=sent&limit=100")
        events = await listed(client, f"{url}/api/v1/events?limit=100")
    except httpx.TransportError:
        return set()
    causes = {event["id"]: event["cause"] for event in events}
    return {causes[one["event"]] for one in sent if one["event"] in causes}


async def has_cases_to_decide(client: httpx.AsyncClient, url: str) -> bool:
    """Whether a message failed, one is unknown, one waits for its hours, and one for approval."""
    found = [
        (one["state"], one["rule"])
        for state in ("failed", "unknown", "held")
        for one in await listed(client, f"{url}/api/v1/deliveries?state={state}&limit=100")
    ]
    return set(found) >= {
        ("failed", "on-the-way"),
        ("unknown", "on-the-way"),
        ("held", "moved-visit"),
        ("held", "moved-visits-in-the-morning"),
    }


async def listed(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    response = await client.get(url)
    data: list[dict[str, Any]] = response.json()["data"] if response.is_success else []
    return data


async def inbox(client: httpx.AsyncClient, folder: Path) -> set[str]:
    """To whom anything was sent, as the inbox that the demo names has it."""
    address = re.search(r"http://\S+/inbox", said(folder))
    assert address is not None
    return {one["to"] for one in (await client.get(address[0])).json()["messages"]}
