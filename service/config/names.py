"""What accounts and channels may be called: their names become addresses, lanes and targets."""

import re
from collections.abc import Iterable, Iterator

from service.diagnostics import Issue
from service.system_actions import BUILT_IN

_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def account_names(names: Iterable[str]) -> Iterator[Issue]:
    """What is wrong with the names of accounts, each of which stands in `/hooks/NAME`."""
    hint = "up to 64 letters, digits, dots, dashes and underscores; first a letter or a digit"
    for name in names:
        if not _ACCOUNT.fullmatch(name):
            message = f"\"{name}\" cannot be an account's name: it stands in its webhooks' address"
            yield Issue(("accounts", name), message, hint, at_key=True)


def channel_names(names: Iterable[str]) -> Iterator[Issue]:
    """What is wrong with the names of channels, each of which stands in `notify: NAME:TARGET`."""
    for name in names:
        if name in BUILT_IN:
            message = f"{name} is built in: a channel of your own needs another name"
            yield Issue(("channels", name), message, at_key=True)
        elif not name or ":" in name:
            message = f'"{name}" cannot be a channel\'s name: in a rule it ends at a colon'
            hint = "write it without a colon; behind it stands the target"
            yield Issue(("channels", name), message, hint, at_key=True)
