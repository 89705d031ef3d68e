"""How often Python's garbage collector runs."""

import gc

# A page of a list, or a batch of webhooks, is thousands of objects that are all released at its
# end. A collection in between finds no garbage and costs time.
_OBJECTS = 50_000


def look_seldom() -> None:
    """Collect less often: exempt existing objects, and wait for many new ones."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)
