"""The signals that end a command, heeded once: being told again hurries nothing.

A second Ctrl-C would break off the very thing that the first one asked for, and leave servers
running or messages of which nobody knows whether they arrived. SIGHUP, from a terminal that is
closed, ends Taskbell like the others; what `nohup` or a shell has ignored stays ignored.
"""

import signal
from collections.abc import Iterator
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


def ignore() -> None:
    """From here on the end is under way; no signal changes anything."""
    for number in _TO_END:
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    ignore()
    raise KeyboardInterrupt
