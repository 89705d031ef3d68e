"""How a program that the supervisor started hears of it, and learns that it is gone.

A supervisor that is killed cannot stop anything any more. So each of its programs has the reading
end of a pipe as its standard input, whose writing end nobody but the supervisor holds: whichever
way that ends, the kernel closes it, and reading comes to its end. That is so on every Unix;
PR_SET_PDEATHSIG is Linux's alone, and is told when a *thread* ends.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

# Says that standard input is this pipe. Whoever starts a program by hand or under another
# supervisor may give it any input, and /dev/null is at its end at once.
MARK = {"TASKBELL_SUPERVISED": "1"}

_STDIN = 0
_AT_ONCE = 65536  # bytes


class Lifeline:
    """The pipe from the supervisor: what it says, line by line, until it is gone."""

    def __init__(self) -> None:
        self._said: SimpleQueue[bytes] = SimpleQueue()
        self._tell: Callable[[], object] = lambda: None
        # A thread, because it has to work before there is an event loop as well.
        Thread(target=self._listen, daemon=True).start()

    async def lines(self) -> AsyncIterator[bytes]:
        """Every line since the beginning, as it comes; never ends by itself."""
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
            with suppress(RuntimeError):  # the loop has ended, and with it whoever listened
                self._tell()
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_supervisor(environ: Mapping[str, str]) -> Lifeline | None:
    """Have this process sent SIGTERM when the supervisor that started it is gone.

    Returns None where it was started by another.
    """
    return Lifeline() if MARK.items() <= environ.items() else None


def wait_for_end_of_stdin() -> None:
    """Return when nobody holds the other end of the standard input any more."""
    # Not sys.stdin: a thread that holds its lock would abort the interpreter's shutdown.
    while os.read(_STDIN, 1024):
        pass
