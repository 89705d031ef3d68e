"""What a person does about an account that fails: in plain words, by the error that is stored."""

from collections.abc import Mapping
from typing import Any

from service.http.upstream import (
    CHECK_ADDRESS,
    CREDENTIALS_REFUSED,
    NOT_REACHED,
    SKIPPED,
    SLOW_DOWN,
)
from service.sources import title_of
from service.store.canaries import ALL_MISSING

_ITSELF = "Taskbell tries again by itself."
# By the words in the error; the first that is found counts.
_ADVICE = {
    ALL_MISSING: (
        "Usually someone has limited Taskbell's access to {system}. Ask an administrator of"
        " {system} to give it back: Taskbell then goes on by itself. Only if the tasks really were"
        ' deleted, choose "The tasks really were deleted" on Connections.'
    ),
    CREDENTIALS_REFUSED: (
        "The token was refused. Get a new token in {system} and ask your developer to"
        " enter it as the token of {account}. Taskbell then reads the account again by itself."
    ),
    SLOW_DOWN: (
        "{system} asked Taskbell to call less often. There is nothing to do: Taskbell waits as"
        " long as it was asked to, and goes on by itself."
    ),
    CHECK_ADDRESS: (
        "Something other than {system} answers at this address. Ask your developer"
        f" to check the base_url of {{account}}. {_ITSELF}"
    ),
    NOT_REACHED: (
        "Taskbell cannot reach {system}. Check whether you can open {system} yourself. If you can,"
        " ask your developer to check its connection and the base_url of {account}."
        f" {_ITSELF}"
    ),
    SKIPPED: (
        "Calls to {system} have failed, so Taskbell pauses them for a moment."
        f" There is nothing to do unless this stays. {_ITSELF}"
    ),
}
_OTHERWISE = (
    f"{_ITSELF} If this stays for more than an hour, show this text to the person who looks after"
    " Taskbell, or to the support of {system}."
)


def may_be_deleted(account: Mapping[str, Any]) -> bool:
    """Whether so many of an account's tasks are missing that a person has to confirm it."""
    return bool(account["absent"]) or ALL_MISSING in (account["error"] or "")


def what_to_do(account: Mapping[str, Any]) -> str | None:
    """What to do about a failing account (a row of `api_lists.read_accounts`); else None."""
    if account["state"] != "failing":
        return None
    error = account["error"] or ""
    advice = next((says for words, says in _ADVICE.items() if words in error), _OTHERWISE)
    return advice.format(system=title_of(account["system"]), account=account["id"])
