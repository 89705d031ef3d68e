"""The signals that end a command, heeded once: being told again hurries nothing.

A second Ctrl-C would break off the very thing that the first one asked for, and leave servers
running or messages of which nobody knows whether they arrived. SIGHUP from a terminal that is
closed ends Taskbell like the others; from anybody else it asks for the configuration to be read
anew. What `nohup` or a shell has ignored stays ignored.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> list[signal.Signals]:
    """The signals to end that this process was not started to ignore."""
    return [number for number in _TO_END if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Have a signal end this block as Ctrl-C would, and nothing break off its clearing up.

    The block then counts as done: whoever stops Taskbell while it starts has not met an error.
    """
    for number in heeded():
        signal.signal(number, _end)
    with suppress(KeyboardInterrupt):
        yield


def on_hangup(reload: Callable[[], None]) -> None:
    """From here on SIGHUP asks for this, unless it comes because the terminal was closed."""
    if signal.SIGHUP not in heeded():
        return
    had_terminal = _has_terminal()

    def hung_up() -> None:
        if had_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)


def ignore() -> None:
    """From here on the end is under way; no signal changes anything."""
    for number in _TO_END:
        signal.signal(number, signal.SIG_IGN)


def _has_terminal() -> bool:
    """Whether there is one that could be closed; a service has none from the beginning."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    ignore()
    raise KeyboardInterrupt
