"""Says below a list which accounts wait, and until when what is due of them does."""

from collections.abc import Iterable
from datetime import datetime

from service.cli.output.console import print_line
from service.explain import account_status
from service.store.views.api_lists import Row


def tell_waits(accounts: Iterable[Row]) -> None:
    """Print a line for each account of which something waits."""
    for one in accounts:
        if waits := account_status.what_waits(one, short_time):
            print_line(f"{one['id']}: {waits}")


def short_time(moment: datetime) -> str:
    """Such as `29 Nov 09:33`, in this machine's zone."""
    return f"{moment.astimezone():%d %b %H:%M}"
