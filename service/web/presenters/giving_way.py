"""Computing in a thread beside the event loop without holding it up."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_INTERVAL = 0.0005  # seconds until the thread gives way
_lock = Lock()
_usual: list[float] = []  # the interval before, once for each thread that computes


@contextmanager
def giving_way() -> Iterator[None]:
    """Let the event loop have the interpreter soon whenever it wants it, as other threads compute.

    A collection of garbage would stop it for as long as it takes to look at a whole simulation.
    """
    with _lock:
        _usual.append(_usual[0] if _usual else sys.getswitchinterval())
        sys.setswitchinterval(_INTERVAL)
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            interval = _usual.pop()
            if not _usual:
                gc.enable()
                sys.setswitchinterval(interval)
