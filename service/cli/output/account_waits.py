"""Footnotes for lists: accounts whose timers wait, and until when."""

from collections.abc import Iterable
from datetime import datetime

from service.cli.output.console import print_line
from service.explain import account_status
from service.store.views.listing import Row


def tell_waits(accounts: Iterable[Row]) -> None:
    """Print a line for each account that waits."""
    for one in accounts:
        if waits := account_status.what_waits(one, short_time):
            print_line(f"{one['id']}: {waits}")


def short_time(moment: datetime) -> str:
    """Such as `29 Nov 09:33`, in this machine's zone."""
    return f"{moment.astimezone():%d %b %H:%M %Z}"
