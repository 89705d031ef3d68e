"""However `taskbell serve` is ended, everything ends with it, and what was in hand is settled."""

import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.test_going_on import CONFIGURATION, VISIT, System
from tests.harness.receivers import Answer, HttpReceiver, Request
from tests.harness.running import free_port
from tests.harness.serving import TIME_TO_END, Terminal, at_work, press_ctrl_c, said, serving
from tests.harness.waiting import eventually


class SlowReceiver(HttpReceiver):
    """Somebody who takes a while to answer, so that a message is in hand."""

    def answer(self, request: Request) -> Answer:
        del request
        return Answer(delay=2)


@pytest.mark.timeout(180)
async def test_a_supervisor_that_is_killed_leaves_nothing_running_and_loses_nothing(
    folder: Path,
) -> None:
    """Kill -9 while a message is under way; the next start waits for the end of the first run."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    async with System() as system, SlowReceiver() as receiver, httpx.AsyncClient() as client:
        configure(folder, system, receiver)
        with serving(folder, port) as process:
            await at_its_work(client, url, folder)
            answer = await client.post(f"{url}/hooks/field", json=VISIT)
            assert answer.status_code == 202
            await eventually(lambda: len(receiver.requests) == 1)
            first = processes(folder)
            process.kill()
        with serving(folder, port) as process:
            await at_its_work(client, url, folder)
            assert not [one.pid for one in first if is_at_work(one)]
            assert "was interrupted" not in (folder / ".taskbell/postgres/log").read_text()
            [delivery] = await listed(client, f"{url}/api/v1/deliveries")
            assert (delivery["state"], delivery["attempts"]) == ("sent", 1)
            assert len(receiver.requests) == 1
            process.kill()
        await eventually(lambda: at_work(folder) == [])


async def test_after_a_kill_the_next_run_still_ends_its_servers_itself(folder: Path) -> None:
    """A killed run is not counted as a user of the embedded database."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    async with System() as system, httpx.AsyncClient() as client:
        configure(folder, system, system)
        with serving(folder, port) as process:
            await at_its_work(client, url, folder)
            process.kill()
        with serving(folder, port) as process:
            await at_its_work(client, url, folder)
            # Without the guardian, which would end them as well.
            guardian = next(
                one for one in processes(folder) if "service.processes.reaper" in one.cmdline()
            )
            process.send_signal(signal.SIGSTOP)
            guardian.kill()
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(process.wait, TIME_TO_END) == 0
        assert at_work(folder) == []


def is_at_work(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and that nobody has asked about does not."""
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


async def test_a_process_manager_ends_it_with_code_0(folder: Path) -> None:
    """SIGTERM: everything is stopped, and nothing went wrong."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    async with System() as system, httpx.AsyncClient() as client:
        configure(folder, system, system)
        with serving(folder, port) as process:
            await at_its_work(client, url, folder)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, TIME_TO_END) == 0
        assert at_work(folder) == []
        assert "Traceback" not in said(folder)


async def test_a_terminal_that_is_closed_ends_it(folder: Path) -> None:
    """SIGHUP from a closed terminal stops Taskbell and does not reload."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    async with System() as system, httpx.AsyncClient() as client:
        configure(folder, system, system)
        with Terminal() as terminal, serving(folder, port, terminal=terminal) as process:
            await at_its_work(client, url, folder)
            process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.5)
            assert (await client.get(f"{url}/healthz")).is_success
            terminal.close()
            assert await asyncio.to_thread(process.wait, TIME_TO_END) == 0
        assert at_work(folder) == []
        assert "Traceback" not in said(folder)


async def test_ctrl_c_pressed_again_and_again_is_pressed_once(folder: Path) -> None:
    """Somebody is impatient: what was begun is ended all the same, without a traceback."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    async with System() as system, httpx.AsyncClient() as client:
        configure(folder, system, system)
        with serving(folder, port) as process:
            await at_its_work(client, url, folder)
            while process.poll() is None:
                press_ctrl_c(process)
                await asyncio.sleep(0.01)
            assert process.returncode == 0
        assert at_work(folder) == []
        assert "Traceback" not in said(folder)


async def test_being_told_to_end_while_it_starts_is_no_error(folder: Path) -> None:
    """The database is being made when SIGTERM comes."""
    async with System() as system:
        configure(folder, system, system)
        with serving(folder, free_port()) as process:
            await eventually((folder / ".taskbell/postgres.new").exists)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, TIME_TO_END) == 0
        await eventually(lambda: at_work(folder) == [])
        assert "Traceback" not in said(folder)


async def test_nohup_keeps_it_running_when_the_terminal_goes(folder: Path) -> None:
    """A signal that was ignored when it was started stays ignored."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    async with System() as system, httpx.AsyncClient() as client:
        configure(folder, system, system)
        with serving(folder, port) as process:
            signal.signal(signal.SIGHUP, ignored)
            await at_its_work(client, url, folder)
            process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.5)
            assert (await client.get(f"{url}/healthz")).is_success
            process.terminate()
            assert await asyncio.to_thread(process.wait, TIME_TO_END) == 0


async def test_another_taskbell_at_work_on_the_folder_is_one_clear_sentence(folder: Path) -> None:
    """A second Taskbell on the same data folder ends at once, with one clear sentence."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    async with System() as system, httpx.AsyncClient() as client:
        configure(folder, system, system)
        with serving(folder, port):
            await at_its_work(client, url, folder)
            second = await asyncio.to_thread(refused, folder)
            assert second == (
                "Another Taskbell already uses .taskbell. Stop it, or set a different"
                " TASKBELL_DATA for this one."
            )
            assert (await client.get(f"{url}/readyz")).is_success


async def test_what_is_spoilt_while_it_starts_does_not_keep_it_from_running(folder: Path) -> None:
    """It goes on with the configuration that it found good, and says what is wrong with the new."""
    async with System() as system:
        configure(folder, system, system)
        with serving(folder, port := free_port()):
            # The folder is made after the configuration was found good.
            await eventually((folder / ".taskbell").exists)
            (folder / "taskbell.yaml").write_text("version: none\n")
            await eventually(partial(answers, f"http://127.0.0.1:{port}/readyz"))
            await eventually(lambda: "taskbell.yaml:1:10:" in said(folder))


async def answers(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(url)).is_success
        except httpx.TransportError:
            return False


def configure(folder: Path, system: HttpReceiver, receiver: HttpReceiver) -> None:
    text = CONFIGURATION.format(system=system.url, receiver=receiver.url)
    (folder / "taskbell.yaml").write_text(text)


def refused(folder: Path) -> str:
    """What a start in this folder says that ends at once with code 1."""
    started = folder / "said"
    kept = started.read_bytes()
    with serving(folder, free_port()) as process:
        assert process.wait(TIME_TO_END) == 1
    answer = said(folder)
    started.write_bytes(kept)
    return answer


def processes(folder: Path) -> list[psutil.Process]:
    """Everything that has to do with this folder."""
    return [one for one in psutil.process_iter() if str(folder) in _place(one)]


def _place(process: psutil.Process) -> str:
    try:
        return f"{process.cmdline()} {process.cwd()}"
    except psutil.Error:
        return ""


async def at_its_work(client: httpx.AsyncClient, url: str, folder: Path) -> None:
    """Wait until the run that was started last is up and has read the account."""
    await eventually(lambda: "Taskbell is at" in said(folder))
    await eventually(lambda: _is_synced(client, url))


async def _is_synced(client: httpx.AsyncClient, url: str) -> bool:
    try:
        accounts = await listed(client, f"{url}/api/v1/accounts")
    except httpx.TransportError:
        return False
    return any(one["baseline_at"] for one in accounts)


async def listed(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    response = await client.get(url)
    data: list[dict[str, Any]] = response.json()["data"] if response.is_success else []
    return data
