"""How often Python's garbage collector runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# A page of a list, or a batch of webhooks, is thousands of objects that are all released at its
# end. A collection in between finds no garbage and costs time.
_OBJECTS = 50_000


def look_seldom() -> None:
    """Collect less often: exempt existing objects, and wait for many new ones."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)


@contextmanager
def paused() -> Iterator[None]:
    """Collect nothing within this block: importing makes many objects, and no garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
