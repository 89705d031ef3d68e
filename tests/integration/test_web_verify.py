"""Webhooks of every scheme, from a configuration with its secrets down to the event."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from service.clock import VirtualClock
from service.config import load
from service.processes.embedded import EmbeddedValkey
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.senders import DATED, NEW, OLD, SCHEMES, signed
from tests.harness.site import Site, serving

CONFIGURATION = """\
version: 1
accounts:
  field: {{ system: kickserv, base_url: "http://127.0.0.1:9", slug: acme, token: t0ken,
            webhook: {{ verify: {scheme}, secret: {secret} }} }}
"""
RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"
WRONG = "d3Jvbmcgc2VjcmV0LCB3cm9uZyBzZWNyZXQ="
LATE = timedelta(minutes=6)


class Door:
    """The web process, opened again with other secrets, and the corridor behind it."""

    def __init__(self, taskbell: Corridor, valkey: EmbeddedValkey) -> None:
        self.taskbell = taskbell
        self._valkey = valkey

    @asynccontextmanager
    async def open(self, scheme: str, secrets: Sequence[str]) -> AsyncIterator[Site]:
        """Begin anew with these secrets, which the environment holds."""
        names = [f"SECRET_{number}" for number in range(len(secrets))]
        references = ", ".join(f'"${{{name}}}"' for name in names)
        file = self.taskbell.folder / "web.yaml"
        file.write_text(CONFIGURATION.format(scheme=scheme, secret=f"[{references}]"))
        config = load(file, dict(zip(names, secrets, strict=True)))
        async with serving(
            config, self.taskbell.pool, self.taskbell.clock, self._valkey.url
        ) as web:
            yield web


@pytest.fixture
async def door(
    pool: Pool, clock: VirtualClock, folder: Path, valkey: EmbeddedValkey
) -> AsyncIterator[Door]:
    async with corridor(folder, pool, clock, RULES) as taskbell:
        await taskbell.begin("field")
        yield Door(taskbell, valkey)


async def knock(web: Site, body: bytes, headers: dict[bytes, bytes]) -> int:
    """Send a webhook; the status of the answer."""
    named = {name.decode(): value.decode() for name, value in headers.items()}
    return (await web.post("field", body, named)).status_code


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_secret_is_replaced_and_no_webhook_lost(door: Door, scheme: str) -> None:
    """The old one, both for a while, then the new one alone; what was taken becomes one event."""
    body, now = orjson.dumps(door.taskbell.visit()), door.taskbell.clock.now()
    old, new = (signed(scheme, secret, body, now) for secret in (OLD, NEW))
    for secrets, answers in (([OLD], (202, 401)), ([NEW, OLD], (202, 202)), ([NEW], (401, 202))):
        async with door.open(scheme, secrets) as web:
            assert (await knock(web, body, old), await knock(web, body, new)) == answers
        await door.taskbell.ingest()
    assert await door.taskbell.events() == ["created by webhook"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_is_not_proved_is_refused_and_not_kept(door: Door, scheme: str) -> None:
    """Another secret, another body, each header missing, a time that is over: 401 with a reason."""
    body, now = b'{"id": 4711}', door.taskbell.clock.now()
    right = signed(scheme, NEW, body, now)
    wrong = [signed(scheme, WRONG, body, now), {}]
    wrong += [{k: v for k, v in right.items() if k != name} for name in right]
    if scheme in DATED:
        wrong += [signed(scheme, NEW, body, now + late) for late in (LATE, -LATE)]
    if scheme != "token":
        wrong += [signed(scheme, NEW, body + b" ", now)]
    async with door.open(scheme, [NEW, OLD]) as web:
        assert {await knock(web, body, headers) for headers in wrong} == {401}
        assert await door.taskbell.pool.fetchval("SELECT count(*) FROM receipts") == 0
        assert await knock(web, body, right) == 202


async def heard(door: Door) -> list[str]:
    """What happened to the task since it was made."""
    await door.taskbell.ingest()
    return (await door.taskbell.events())[1:]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_signal_that_is_caught_and_sent_again_is_heard_once(
    door: Door, scheme: str
) -> None:
    """Within the time for which a signature holds, the same bytes are the same receipt."""
    visit = door.taskbell.visit()
    await door.taskbell.webhook(visit)
    body = orjson.dumps({"signal": "leaving", "task": visit["id"]})
    caught = signed(scheme, NEW, body, door.taskbell.clock.now())
    numbers = set()
    async with door.open(scheme, [NEW]) as web:
        for _ in range(3):
            named = {name.decode(): value.decode() for name, value in caught.items()}
            numbers.add((await web.post("field", body, named)).json()["receipt"])
            assert await heard(door) == ["signal by signal"]
            door.taskbell.clock.advance(timedelta(minutes=2))
            # Upper and lower case are the same number, and the same signature.
            if scheme not in {"standard", "token"}:
                caught = {name: value.replace(b"a", b"A") for name, value in caught.items()}
    assert len(numbers) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_signal_that_is_sent_again_later_is_heard_again(door: Door, scheme: str) -> None:
    """The next visit to the same task: a new signature, where there is a time in it."""
    visit = door.taskbell.visit()
    await door.taskbell.webhook(visit)
    body = orjson.dumps({"signal": "leaving", "task": visit["id"]})
    async with door.open(scheme, [NEW]) as web:
        for times in range(3):
            now = door.taskbell.clock.now()
            headers = signed(scheme, NEW, body, now, message=f"msg_{times}")
            assert await knock(web, body, headers) == 202
            assert await heard(door) == ["signal by signal"] * (times + 1)
            door.taskbell.clock.advance(timedelta(minutes=6))


async def test_replays_do_not_put_off_what_is_sent_again(door: Door) -> None:
    """Somebody sends it every two minutes: five minutes after it was heard it is news again."""
    visit = door.taskbell.visit()
    await door.taskbell.webhook(visit)
    body = orjson.dumps({"signal": "leaving", "task": visit["id"]})
    async with door.open("plannr", [NEW]) as web:
        for times in (1, 1, 1, 2, 2, 2, 3):
            headers = signed("plannr", NEW, body, door.taskbell.clock.now())
            assert await knock(web, body, headers) == 202
            assert await heard(door) == ["signal by signal"] * times
            door.taskbell.clock.advance(timedelta(minutes=2))


@pytest.mark.parametrize("scheme", ["plannr", "github", "token"])
async def test_a_hint_that_comes_again_at_once_is_looked_at_again(door: Door, scheme: str) -> None:
    """Nobody can say that it is not the system, of what has changed once more: nothing is lost."""
    visit = door.taskbell.visit()
    body = orjson.dumps({"id": visit["id"]})
    headers = signed(scheme, NEW, body, door.taskbell.clock.now())
    async with door.open(scheme, [NEW]) as web:
        assert await knock(web, body, headers) == 202
        await door.taskbell.ingest()
        await door.taskbell.look_up()
        door.taskbell.sandbox.kickserv.finish(str(visit["id"]))
        assert await knock(web, body, headers) == 202
        await door.taskbell.ingest()
        await door.taskbell.look_up()
    assert await door.taskbell.events() == ["created by webhook", "completed by webhook"]


@pytest.mark.parametrize("scheme", ["plannr", "github", "token"])
async def test_a_task_that_comes_again_is_not_believed_but_read(door: Door, scheme: str) -> None:
    """Who sends an old body again, whenever, brings no task back to what it was."""
    visit = door.taskbell.visit()
    body = orjson.dumps(visit)
    headers = signed(scheme, NEW, body, door.taskbell.clock.now())
    async with door.open(scheme, [NEW]) as web:
        assert await knock(web, body, headers) == 202
        await door.taskbell.ingest()
        door.taskbell.sandbox.kickserv.finish(str(visit["id"]))
        await door.taskbell.poll()
        for minutes in (1, 60):
            door.taskbell.clock.advance(timedelta(minutes=minutes))
            assert await knock(web, body, headers) == 202
            await door.taskbell.ingest()
            await door.taskbell.look_up()
    assert await door.taskbell.events() == ["created by webhook", "completed by poll"]


async def test_a_token_may_come_in_a_header_of_its_own(door: Door) -> None:
    """For senders that cannot set Authorization; it is replaced in the same way."""
    async with door.open("token", [NEW, OLD]) as web:
        for secret, answer in ((NEW, 202), (OLD, 202), (WRONG, 401)):
            headers = {b"x-webhook-token": secret.encode()}
            assert await knock(web, b'{"id": 4711}', headers) == answer


async def test_a_signal_is_an_event_that_the_api_shows(door: Door) -> None:
    """A phone says that somebody leaves: no state of the task changes, and it is on record."""
    visit = door.taskbell.visit(name="Mend the fence")
    await door.taskbell.webhook(visit)
    signal = {"signal": "leaving", "task": visit["id"]}
    body, now = orjson.dumps(signal), door.taskbell.clock.now()
    async with door.open("standard", [NEW]) as web:
        assert await knock(web, body, signed("standard", NEW, body, now)) == 202
        await door.taskbell.ingest()
        [event] = (await web.client.get("/api/v1/events", params={"kind": "signal"})).json()["data"]
    assert (event["account"], event["task"]) == ("field", str(visit["id"]))
    assert (event["kind"], event["cause"]) == ("signal", "signal")
    assert event["after"]["title"] == "Mend the fence"
    names = await door.taskbell.pool.fetch("SELECT signal FROM events ORDER BY id")
    assert [name for (name,) in names] == [None, "leaving"]
