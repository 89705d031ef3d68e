"""What goes on while something is missing, and at once after a restart."""

from pathlib import Path

import httpx

from service.doorbell import Doorbell
from tests.harness.receivers import Answer, HttpReceiver, Request
from tests.harness.running import Taskbell, taskbell
from tests.harness.waiting import eventually

CONFIGURATION = """
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
  field: {{ system: kickserv, base_url: "{system}", slug: acme, token: none, poll: 1s,
            webhook: {{ verify: none }} }}
channels:
  accounting: {{ kind: webhook, url: "{receiver}/hook" }}
rules:
- id: made
  when: task.created
  then: [{{ notify: accounting }}]
"""

VISIT = {
    "id": 7,
    "name": "Clean the gutters",
    "scheduled_at": "2031-03-06T09:00:00-05:00",
    "ends_at": "2031-03-06T10:00:00-05:00",
    "completed_on": None,
    "job": {"id": 1, "job_number": 2, "name": "Gutters", "status": "scheduled"},
    "customer": {"id": 3, "name": "Ida Smith"},
    "employees": [],
}


class System(HttpReceiver):
    """A system that has no tasks, and says so after `delay` seconds."""

    delay = 0.0

    def answer(self, request: Request) -> Answer:
        del request
        return Answer(body=[], delay=self.delay)


async def synced(running: Taskbell) -> None:
    known = "SELECT FROM accounts WHERE baseline_at IS NOT NULL"
    await eventually(lambda: running.query(known), within=20)


async def test_without_redis_work_goes_on_a_second_later(folder: Path) -> None:
    """Valkey dies and stays dead: a webhook's message still goes out, and polling goes on."""
    async with System() as system, HttpReceiver() as receiver:
        configuration = CONFIGURATION.format(system=system.url, receiver=receiver.url)
        async with taskbell(folder, configuration) as running:
            await synced(running)
            running.valkey.kill()
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{running.url}/hooks/field", json=VISIT)
            assert answer.status_code == 202
            await eventually(lambda: len(receiver.requests) == 1, within=5)
            polls = len(system.requests)
            await eventually(lambda: len(system.requests) > polls + 1, within=8)


async def test_a_restart_in_the_middle_of_a_poll_polls_again_at_once(folder: Path) -> None:
    """The worker is stopped while a system takes its time: the next one does not wait for it."""
    async with System() as system:
        configuration = CONFIGURATION.format(system=system.url, receiver=system.url)
        system.delay = 20
        async with taskbell(folder, configuration) as running:
            await eventually(lambda: len(system.requests) == 1, within=20)
            assert running.terminate("worker") == 0
            system.delay = 0
            running.start("worker")
            await synced(running)


async def test_one_of_two_workers_that_stops_is_not_the_last(folder: Path) -> None:
    """The other one is soon known to be at work, and does the rest."""
    async with System() as system, HttpReceiver() as receiver:
        configuration = CONFIGURATION.format(system=system.url, receiver=receiver.url)
        async with taskbell(folder, configuration, "web", "worker.1", "worker.2") as running:
            await synced(running)
            both = "SELECT FROM lanes HAVING count(DISTINCT process) = 2"
            await eventually(lambda: running.query(both), within=20)
            doorbell = Doorbell(running.valkey.url)
            assert running.terminate("worker.1") == 0
            await eventually(doorbell.has_worker, within=5)
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{running.url}/hooks/field", json=VISIT)
            assert answer.status_code == 202
            await eventually(lambda: len(receiver.requests) == 1, within=5)
            await doorbell.close()
