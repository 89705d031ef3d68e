"""The fork server starts programs, and reports how they end."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from textwrap import indent
from typing import Any

from tests.harness.waiting import eventually

# Has a fork server start programs, and prints what came of it as JSON. In a process of its own,
# because that of the tests has other threads.
_SCRIPT = """
import asyncio, json, os, signal, sys
import psutil
from service.errors import TaskbellError
from service.processes.procfile import Program
{first}
from service.processes import fork_server
from service.processes.supervisor import Supervisor

notes = sys.argv[1]

def python(*words):
    return Program("one", (sys.executable, *words))

def started_by(pid):
    return psutil.Process(pid).children()

async def come_of_it(launcher):
{body}

with fork_server.running() as launcher:
    what = asyncio.run(come_of_it(launcher))
print(json.dumps(what))
"""


async def what_comes_of(body: str, notes: Path, *, first: str = "") -> Any:
    """Run the body of `come_of_it`; returns what it returns. `first` is run before."""
    script = _SCRIPT.format(body=indent(body, "    "), first=first)
    words = (sys.executable, "-c", script, str(notes))
    environ = {**os.environ, "PYTHONPATH": str(notes), "SHELL_TOKEN": "canary"}
    process = await asyncio.create_subprocess_exec(*words, env=environ, stdout=PIPE)
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return json.loads(said)


async def test_the_end_of_each_program_is_reported(tmp_path: Path) -> None:
    """With its exit code, or the signal that ended it; also when several end at once."""
    body = """
sleeping = python("-c", "import time; time.sleep(60)")
slow = [await launcher.launch(sleeping, {}) for _ in range(2)]
fast = await launcher.launch(python("-c", "raise SystemExit(3)"), {})
codes = [await fast.wait()]
[server] = started_by(os.getpid())
server.suspend()
for one in slow:
    one.send(signal.SIGKILL)
server.resume()
return [*codes, *[await one.wait() for one in slow]]
"""
    assert await what_comes_of(body, tmp_path) == [3, -9, -9]


async def test_a_launch_that_was_cancelled_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    """Its start is reported later, and the next program is another one."""
    body = """
given_up = asyncio.create_task(launcher.launch(python("-c", "raise SystemExit(4)"), {}))
await asyncio.sleep(0)
given_up.cancel()
return await (await launcher.launch(python("-c", "raise SystemExit(3)"), {})).wait()
"""
    assert await what_comes_of(body, tmp_path) == 3


async def test_a_program_has_its_own_environment_and_no_other(tmp_path: Path) -> None:
    """The shell's tokens are neither in its environment nor in what `ps e` shows of it."""
    (tmp_path / "env_noting.py").write_text(
        "import os, sys\n"
        "with open('/proc/self/environ') as first:\n"
        "    print(dict(os.environ), 'canary' in first.read(), file=open(sys.argv[1], 'w'))\n"
    )
    body = """
environ = {"PORT": "80", "LC_ALL": "C"}
program = python("-m", "env_noting", notes + "/noted")
return await (await launcher.launch(program, environ)).wait()
"""
    assert await what_comes_of(body, tmp_path) == 0
    assert (tmp_path / "noted").read_text() == "{'PORT': '80', 'LC_ALL': 'C'} False\n"


async def test_the_current_folder_may_have_a_workers_module_of_its_own(tmp_path: Path) -> None:
    """As after `python -m service serve` there, which looks for modules in that folder first."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/workers.py").touch()
    (tmp_path / "path_noting.py").write_text(
        "import os, sys\nprint(os.getcwd() in sys.path, file=open(sys.argv[1], 'w'))\n"
    )
    there = "os.chdir(sys.argv[1] + '/own')\nsys.path[0] = os.getcwd()"
    body = """
return await (await launcher.launch(python("-m", "path_noting", notes + "/noted"), {})).wait()
"""
    assert await what_comes_of(body, tmp_path, first=there) == 0
    assert (tmp_path / "noted").read_text() == "False\n"


async def test_an_environment_may_have_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    """As the home folder of a person whose name was once written in another encoding."""
    (tmp_path / "home_noting.py").write_text(
        "import os, sys\nprint(os.environb[b'HOME'], file=open(sys.argv[1], 'w'))\n"
    )
    body = """
environ = {"HOME": os.fsdecode(b"/home/Jos\\xe9")}
program = python("-m", "home_noting", notes + "/noted")
return await (await launcher.launch(program, environ)).wait()
"""
    assert await what_comes_of(body, tmp_path) == 0
    assert (tmp_path / "noted").read_text() == "b'/home/Jos\\xe9'\n"


async def test_on_macos_each_program_is_a_new_interpreter(tmp_path: Path) -> None:
    """There the system's libraries can abort a process that was forked and goes on."""
    (tmp_path / "afresh.py").write_text(
        "import os, sys\n"
        "noted = [sys.argv[2:], sys.stdin.readline(), os.getsid(0) == os.getpid(),\n"
        "         sorted(name for name in os.environ if name != 'LC_CTYPE'),\n"
        "         {'workers.process', 'setproctitle'} & set(sys.modules)]\n"
        "print(noted, file=open(sys.argv[1], 'w'))\n"
    )
    body = """
environ = {"PYTHONPATH": os.environ["PYTHONPATH"], "PORT": "80"}
program = python("-m", "afresh", notes + "/noted", "and", "more")
one = await launcher.launch(program, environ)
one.tell(b"a line\\n")
return [await one.wait(), "setproctitle" in sys.modules]
"""
    assert await what_comes_of(body, tmp_path, first="sys.platform = 'darwin'") == [0, False]
    noted = (tmp_path / "noted").read_text()
    assert noted == "[['and', 'more'], 'a line\\n', True, ['PORT', 'PYTHONPATH'], set()]\n"


async def test_a_python_module_runs_with_what_has_been_imported(tmp_path: Path) -> None:
    """It has its arguments, what it is told, a name for `ps`, and a session of its own."""
    (tmp_path / "noting.py").write_text(
        "import os, sys, setproctitle\n"
        "noted = [sys.argv[2:], sys.stdin.readline(), setproctitle.getproctitle(),\n"
        "         os.getsid(0) == os.getpid(), __name__, 'workers.process' in sys.modules]\n"
        "print(noted, file=open(sys.argv[1], 'w'))\n"
    )
    body = """
one = await launcher.launch(python("-m", "noting", notes + "/noted", "and", "more"), {})
one.tell(b"a line\\n")
return await one.wait()
"""
    assert await what_comes_of(body, tmp_path) == 0
    noted = (tmp_path / "noted").read_text()
    assert noted == "[['and', 'more'], 'a line\\n', 'taskbell: one', True, '__main__', True]\n"


async def test_signals_end_programs_and_not_the_fork_server(tmp_path: Path) -> None:
    """A service manager sends SIGTERM to all of them; the ends are still reported."""
    body = """
one = await launcher.launch(python("-c", "import time; time.sleep(60)"), {})
[server] = started_by(os.getpid())
server.send_signal(signal.SIGTERM)
server.send_signal(signal.SIGINT)
one.send(signal.SIGTERM)
return [await one.wait(), server.is_running()]
"""
    assert await what_comes_of(body, tmp_path) == [-15, True]


async def test_all_ends_when_the_fork_server_is_killed(tmp_path: Path) -> None:
    """What it has started is stopped, and the supervisor ends with a sentence."""
    (tmp_path / "waiting.py").write_text("import sys\nsys.stdin.read()\n")
    body = """
supervisor = Supervisor([python("-m", "waiting")], os.environ, launcher)
supervising = asyncio.create_task(supervisor.run())
[server] = started_by(os.getpid())
while not (programs := started_by(server.pid)):
    await asyncio.sleep(0.05)
server.kill()
try:
    await supervising
except TaskbellError as error:
    return [str(error), [one.pid for one in psutil.wait_procs(programs, 10)[1]]]
"""
    said, left = await what_comes_of(body, tmp_path)
    assert "the machine ran out of memory. Everything was stopped. Start Taskbell again." in said
    assert left == []


async def test_when_the_fork_server_is_killed_work_in_hand_is_finished(tmp_path: Path) -> None:
    """The supervisor ends after its programs: with it end the servers that they need for that."""
    (tmp_path / "busy.py").write_text(
        "import pathlib, signal, sys, time\n"
        "notes = pathlib.Path(sys.argv[1])\n"
        "def stop(*_):\n"
        "    time.sleep(1)\n"
        "    (notes / 'settled').touch()\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "(notes / 'started').touch()\n"
        "time.sleep(60)\n"
    )
    body = """
supervisor = Supervisor([python("-m", "busy", notes)], os.environ, launcher)
supervising = asyncio.create_task(supervisor.run())
while not os.path.exists(notes + "/started"):
    await asyncio.sleep(0.05)
[server] = started_by(os.getpid())
server.kill()
try:
    await supervising
except TaskbellError:
    return os.path.exists(notes + "/settled")
"""
    assert await what_comes_of(body, tmp_path) is True


async def test_a_program_is_told_things_even_if_there_was_no_standard_input(tmp_path: Path) -> None:
    """As after `nohup taskbell serve <&- &`: a socket must not take the number 0."""
    (tmp_path / "told.py").write_text(
        "import os, sys\nprint(os.read(0, 99), file=open(sys.argv[1], 'w'))\n"
    )
    body = """
one = await launcher.launch(python("-m", "told", notes + "/noted"), {})
one.tell(b"a line")
return await one.wait()
"""
    assert await what_comes_of(body, tmp_path, first="os.close(0)") == 0
    assert (tmp_path / "noted").read_text() == "b'a line'\n"


async def test_it_ends_well_where_the_ends_of_children_are_ignored(tmp_path: Path) -> None:
    """A launcher or a shell can have set SIGCHLD so; then the kernel forgets how a child ended."""
    ignored = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    body = 'return await (await launcher.launch(python("-c", "raise SystemExit(3)"), {})).wait()'
    assert await what_comes_of(body, tmp_path, first=ignored) == 3


async def test_the_fork_server_ends_with_the_supervisor(tmp_path: Path) -> None:
    """Even when that is killed."""
    script = _SCRIPT.format(
        body=indent(
            "open(notes, 'w').write(str(started_by(os.getpid())[0].pid))\nos.abort()", "    "
        ),
        first="",
    )
    pid = tmp_path / "pid"
    words = (sys.executable, "-c", script, str(pid))
    process = await asyncio.create_subprocess_exec(*words)
    assert await process.wait() < 0
    await eventually(lambda: not Path("/proc", pid.read_text()).exists())
