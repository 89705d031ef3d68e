"""How often Python's garbage collector looks at what a process holds."""

import gc

# A page of a list, or a batch of webhooks, is thousands of objects that go together when it is
# done. Looking at them meanwhile finds nothing.
_OBJECTS = 50_000


def look_seldom() -> None:
    """Never look again at what is there now, and at what comes only when it has become a lot."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)
