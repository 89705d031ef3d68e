"""The configuration is changed while Taskbell runs: as a whole or not, and nothing is lost."""

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.test_going_on import CONFIGURATION, VISIT, System
from tests.harness.receivers import Answer, HttpReceiver, Request
from tests.harness.running import free_port, taskbell
from tests.harness.serving import programs, said, serving
from tests.harness.waiting import eventually

EVENTS = 200
SECRET = '{{ verify: token, secret: "${{file:secret}}" }}'


class SlowReceiver(HttpReceiver):
    """Somebody who takes a while to answer."""

    def answer(self, request: Request) -> Answer:
        del request
        return Answer(delay=2)


@dataclass
class Running:
    """A `taskbell serve` at work in `folder`, which began with the configuration `text`."""

    folder: Path
    url: str
    text: str
    process: subprocess.Popen[bytes]
    client: httpx.AsyncClient
    sent: int = 0

    def rewrite(self, old: str, new: str) -> None:
        """Change the file, which is otherwise as it was in the beginning."""
        (self.folder / "taskbell.yaml").write_text(self.text.replace(old, new))

    def program(self, name: str) -> psutil.Process:
        """The web, or one of the workers."""
        return programs(self.process, name)[0]

    async def get(self, path: str) -> Any:
        return (await self.client.get(f"{self.url}/api/v1/{path}")).json()

    async def post(self, count: int) -> None:
        """Send webhooks about new visits, each until it is accepted."""
        for _ in range(count):
            self.sent += 1
            body = {**VISIT, "id": self.sent, "name": f"Visit {self.sent}"}
            answer = await self.client.post(f"{self.url}/hooks/field", json=body)
            assert answer.status_code == 202

    async def has_rule(self, name: str) -> bool:
        return any(one["id"] == name for one in (await self.get("rules"))["data"])

    async def faults(self) -> float:
        """As the metric says."""
        lines = (await self.client.get(f"{self.url}/metrics")).text.splitlines()
        [line] = [one for one in lines if one.startswith("taskbell_config_faults ")]
        return float(line.split()[1])


@asynccontextmanager
async def running(
    folder: Path,
    receiver: HttpReceiver,
    configuration: str = CONFIGURATION,
    system: System | None = None,
    **environ: str,
) -> AsyncIterator[Running]:
    """With the rule `made`, and all of it at work."""
    asked = system or System()
    async with asked, httpx.AsyncClient(timeout=10) as client:
        text = configuration.format(system=asked.url, receiver=receiver.url)
        (folder / "taskbell.yaml").write_text(text)
        with serving(folder, port := free_port(), terminal=None, **environ) as process:
            made = Running(folder, f"http://127.0.0.1:{port}", text, process, client)
            await eventually(lambda: is_synced(made))
            yield made


async def is_synced(one: Running) -> bool:
    try:
        accounts = (await one.get("accounts")).get("data", [])
    except httpx.TransportError:
        return False
    return [account["state"] for account in accounts] == ["ok"]


async def killed(program: psutil.Process) -> None:
    program.kill()
    await asyncio.to_thread(program.wait)


async def told_of_all(one: Running, receiver: HttpReceiver) -> Counter[str]:
    """Wait until every delivery is settled; returns how often each visit was told."""

    async def settled() -> bool:
        deliveries = (await one.get("deliveries?limit=500"))["data"]
        return [each["state"] for each in deliveries] == ["sent"] * one.sent

    await eventually(settled)
    return Counter(request.json["data"]["task"]["id"] for request in receiver.requests)


async def test_a_change_in_the_middle_of_events(folder: Path) -> None:
    """None is lost and none is told twice; each decision names its rules, and they can be read."""
    async with HttpReceiver() as receiver, running(folder, receiver) as one:
        flowing = asyncio.create_task(one.post(EVENTS))
        await eventually(lambda: one.sent >= EVENTS // 4)
        one.rewrite("id: made", "id: made-anew")
        await eventually(lambda: one.has_rule("made-anew"))
        await flowing
        while "made-anew" not in {each["rule"] for each in (await one.get("decisions"))["data"]}:
            await one.post(1)
        told = await told_of_all(one, receiver)
        assert told == {str(number + 1): 1 for number in range(one.sent)}

        decisions = (await one.get("decisions?limit=500"))["data"]
        assert len(decisions) == one.sent
        versions = {(each["rule"], each["rules_version"]) for each in decisions}
        assert len(versions) == 2
        for rule, version in versions:
            assert [each["id"] for each in (await one.get(f"rules?version={version}"))["data"]] == [
                rule
            ]
        assert "rules: 1 added, 1 removed" in said(folder)


async def test_a_faulty_file_changes_nothing_and_says_so(folder: Path) -> None:
    """In the log, on the page, as a metric; who dies meanwhile comes back with the old rules."""
    async with HttpReceiver() as receiver, running(folder, receiver) as one:
        one.rewrite("when: task.created", "when: task.creatd")
        await eventually(one.faults)
        fault = "taskbell.yaml:11:9: there is no event task.creatd"
        assert fault in said(folder)
        assert fault in (await one.client.get(one.url)).text
        assert (await one.client.get(f"{one.url}/readyz")).is_success

        for program in (one.program("web"), one.program("worker")):
            await killed(program)
        await eventually(lambda: is_synced(one))
        await eventually(one.faults)
        await one.post(3)
        assert (await told_of_all(one, receiver)).total() == 3

        one.rewrite("id: made", "id: mended")
        await eventually(lambda: one.has_rule("mended"))
        assert await one.faults() == 0
        assert said(folder).count("configuration.not_loaded") == 1


async def test_sighup_reads_everything_anew(folder: Path) -> None:
    """Also what no look at the configuration's files shows: a secret in a file of its own."""
    (folder / "secret").write_text("first-secret-of-two")
    configuration = CONFIGURATION.replace("{{ verify: none }}", SECRET)
    async with HttpReceiver() as receiver, running(folder, receiver, configuration) as one:

        async def answer(secret: str) -> int:
            headers = {"X-Webhook-Token": secret}
            url = f"{one.url}/hooks/field"
            return (await one.client.post(url, json=VISIT, headers=headers)).status_code

        async def is_taken() -> bool:
            return await answer("second-secret-of-two") == httpx.codes.ACCEPTED

        assert await answer("first-secret-of-two") == httpx.codes.ACCEPTED
        (folder / "secret").write_text("second-secret-of-two")
        assert not await is_taken()
        one.process.send_signal(signal.SIGHUP)
        await eventually(is_taken)
        assert await answer("first-secret-of-two") == httpx.codes.UNAUTHORIZED


async def test_sighup_to_a_process_without_a_supervisor(folder: Path) -> None:
    """It reads everything anew by itself, and goes on."""
    (folder / "secret").write_text("first-secret-of-two")
    configuration = CONFIGURATION.replace("{{ verify: none }}", SECRET)
    async with System() as system, httpx.AsyncClient() as client:
        text = configuration.format(system=system.url, receiver=system.url)
        text = text.replace("file:secret", f"file:{folder}/secret")
        async with taskbell(folder, text, "web") as alone:
            (folder / "secret").write_text("second-secret-of-two")
            headers = {"X-Webhook-Token": "second-secret-of-two"}

            async def is_taken() -> bool:
                url = f"{alone.url}/hooks/field"
                return (await client.post(url, json=VISIT, headers=headers)).is_success

            assert not await is_taken()
            alone.processes["web"].send_signal(signal.SIGHUP)
            await eventually(is_taken)


async def test_what_is_in_hand_is_finished_by_who_has_begun_it(folder: Path) -> None:
    """The other side takes two seconds to answer: the new rules do not wait, nothing goes twice."""
    async with SlowReceiver() as receiver, running(folder, receiver) as one:
        await one.post(1)
        await eventually(lambda: receiver.requests)
        one.rewrite("id: made", "id: made-anew")
        await eventually(lambda: one.has_rule("made-anew"))
        await one.post(1)
        # One that was claimed as its worker was relieved is given back, and counts as an attempt.
        assert await told_of_all(one, receiver) == {"1": 1, "2": 1}


@pytest.mark.crash
@pytest.mark.timeout(180)
async def test_a_worker_that_is_killed_while_it_takes_over(folder: Path) -> None:
    """Kill -9 of one worker at the change, and of the other: each visit has one message."""
    async with HttpReceiver() as receiver, running(folder, receiver) as one:
        flowing = asyncio.create_task(one.post(EVENTS))
        await eventually(lambda: one.sent >= EVENTS // 4)
        one.rewrite("id: made", "id: made-anew")
        first = one.program("worker")
        await eventually(lambda: "configuration.loaded" in said(folder))
        await killed(first)
        one.program("worker").kill()
        await flowing
        assert set(await told_of_all(one, receiver)) == {str(n + 1) for n in range(one.sent)}
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == one.sent


async def test_processes_that_are_started_one_by_one_look_themselves(folder: Path) -> None:
    """A web process and a worker without a supervisor of ours: each takes the change over."""
    async with System() as system, HttpReceiver() as receiver, httpx.AsyncClient() as client:
        text = CONFIGURATION.format(system=system.url, receiver=receiver.url)
        async with taskbell(folder, text, environ={"LOG_LEVEL": "INFO"}) as alone:
            known = "SELECT FROM accounts WHERE baseline_at IS NOT NULL"
            await eventually(lambda: alone.query(known))
            (folder / "taskbell.yaml").write_text(text.replace("task.created", "task.creatd"))
            await eventually(lambda: alone.log.read_text().count("configuration.not_loaded") == 2)
            (folder / "taskbell.yaml").write_text(text.replace("id: made", "id: made-anew"))
            await eventually(lambda: alone.query("SELECT FROM rulesets OFFSET 1"))
            numbers = count(1)

            async def is_decided_anew() -> bool:
                # Until the new worker is at work, the old one may decide.
                visit = {**VISIT, "id": next(numbers)}
                answer = await client.post(f"{alone.url}/hooks/field", json=visit)
                assert answer.status_code == 202
                return bool(await alone.query("SELECT FROM decisions WHERE rule = 'made-anew'"))

            await eventually(is_decided_anew)
            await eventually(lambda: receiver.requests)
            assert '"rules":{"added":1,"removed":1}' in alone.log.read_text()


async def test_programs_get_of_the_environment_what_they_need(folder: Path) -> None:
    """The configuration's secrets by their standard input, also later ones; others not at all."""
    environ = {name: f"canary-{name}" for name in ("NOW_TOKEN", "LATER_TOKEN", "CLOUD_SECRET")}
    configuration = CONFIGURATION.replace("token: none", 'token: "${{NOW_TOKEN}}"')
    system = System()

    def credentials() -> str:
        return system.requests[-1].headers["authorization"]

    async def has_changed() -> bool:
        return credentials() != before

    async with (
        HttpReceiver() as receiver,
        running(folder, receiver, configuration, system, **environ) as one,
    ):
        before = credentials()
        children = psutil.Process(one.process.pid).children(recursive=True)
        assert len(children) > 5, "PostgreSQL, Valkey, the guardian, web and workers"
        assert not [each for each in children if "canary" in str(each.environ())]
        one.rewrite("NOW_TOKEN", "LATER_TOKEN")
        await eventually(has_changed)
        await killed(one.program("worker"))
        await one.post(5)
        assert await told_of_all(one, receiver) == {str(number): 1 for number in range(1, 6)}
