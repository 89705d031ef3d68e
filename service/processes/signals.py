"""The Unix signals that end a command. The first one counts; later ones are ignored.

A second Ctrl-C would interrupt the clean shutdown that the first one started, and leave servers
running, or messages with unknown outcome. SIGHUP ends Taskbell if it comes because the terminal was
closed; otherwise it reloads the configuration. A signal that the process was started to ignore, as
by `nohup`, stays ignored.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> list[signal.Signals]:
    """The signals that end this process, without those that it was started to ignore."""
    return [number for number in _TO_END if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Within this block a signal raises KeyboardInterrupt, once; clean-up is not interrupted.

    The block catches the KeyboardInterrupt: stopping Taskbell while it starts is not an error.
    """
    for number in heeded():
        signal.signal(number, _end)
    with suppress(KeyboardInterrupt):
        yield


def on_hangup(reload: Callable[[], None]) -> None:
    """Call `reload` at each SIGHUP from now on, unless it comes because the terminal was closed."""
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
    """Ignore these signals from now on: the process is shutting down."""
    for number in _TO_END:
        signal.signal(number, signal.SIG_IGN)


def _has_terminal() -> bool:
    """Whether this process has a terminal; a service never has one."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    ignore()
    raise KeyboardInterrupt
