"""The pipe from the supervisor to each of its programs: for messages, and to notice its death.

A supervisor that is killed cannot stop anything. So each program has a pipe as its standard input
whose other end only the supervisor holds. However the supervisor ends, the kernel closes that end,
and the program reads end-of-file. That works on every Unix; PR_SET_PDEATHSIG exists on Linux only,
and fires when a *thread* of the parent ends.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

# In the environment: standard input is this pipe. A program that was started in another way may
# have any standard input, such as /dev/null, which is at its end at once.
MARK = {"TASKBELL_SUPERVISED": "1"}

_STDIN = 0
_AT_ONCE = 65536  # bytes


class ParentPipe:
    """Reads lines from the supervisor; at end-of-file sends SIGTERM to its own process."""

    def __init__(self) -> None:
        self._said: SimpleQueue[bytes] = SimpleQueue()
        self._tell: Callable[[], object] = lambda: None
        # A thread, because it has to work before there is an event loop.
        Thread(target=self._listen, daemon=True).start()

    async def lines(self) -> AsyncIterator[bytes]:
        """Every line since the start of the process, as it comes; never ends."""
        loop, more = asyncio.get_running_loop(), asyncio.Event()
        self._tell = lambda: loop.call_soon_threadsafe(more.set)
        while True:
            more.clear()
            while not self._said.empty():
                yield self._said.get()
            await more.wait()

    def _listen(self) -> None:
        rest = b""
        while said := os.read(_STDIN, _AT_ONCE):
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                self._said.put(line)
            with suppress(RuntimeError):  # the loop has ended, and with it its readers
                self._tell()
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_supervisor(environ: Mapping[str, str]) -> ParentPipe | None:
    """Send this process SIGTERM when the supervisor that started it is gone.

    Returns None if it was not started by a supervisor.
    """
    return ParentPipe() if MARK.items() <= environ.items() else None


def wait_for_end_of_stdin() -> None:
    """Return when no process has the other end of the standard input open any more."""
    # Not sys.stdin: a thread that holds its lock would abort the interpreter's shutdown.
    while os.read(_STDIN, 1024):
        pass
