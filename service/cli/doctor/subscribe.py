"""Registers Taskbell's webhook with a system, without showing its signing secret."""

import os
from pathlib import Path

from service.cli.doctor.findings import Finding, fine, wrong
from service.clock import SystemClock
from service.config import Config
from service.errors import SourceError
from service.http.client import open_client
from service.http.throttle import Unthrottled
from service.regular_file import read_regular
from service.sources import systems
from service.store.account_actions import NoSuchAccount

_LARGEST_SECRET = 64 * 1024  # bytes


async def subscribe(config: Config, name: str, url: str, secret_file: Path) -> Finding:
    """Subscribe an account to its system's webhooks; `url` is Taskbell's public address.

    The secret is written to `secret_file`, which only its owner can read, and nowhere else. An
    address that is already registered is registered again, so that this can be repeated. Raises
    NoSuchAccount.
    """
    account = config.accounts.get(name)
    if account is None:
        raise NoSuchAccount(f"there is no account {name} in the configuration")
    subject, path = f"account {name}", f"/hooks/{name}"
    hook = url.rstrip("/").removesuffix(path) + path
    if not hook.startswith(("https://", "http://")):
        advice = "start it with https://, and run this again"
        return wrong(subject, f"{url} is not an address", advice)
    try:
        if not _is_for_a_secret(secret_file):
            says = f"{secret_file} contains something other than a secret, which would be lost"
            return wrong(subject, says, "choose another file, and run this again")
        _demand_writable(secret_file)
        async with open_client(config.allow) as client:
            source = systems()[account.system].connect(
                account, client, SystemClock(), Unthrottled()
            )
            secret = await source.subscribe(hook)
        _keep(secret_file, secret.get_secret_value())
    except SourceError as error:
        return wrong(subject, str(error), "correct that, and run this again")
    except OSError as error:
        says = f"the signing secret cannot be written to {secret_file}: {error.strerror}"
        return wrong(subject, says, "choose a file that can be written, and run this again")
    setting = f'webhook: {{ verify: {account.system}, secret: "${{file:{secret_file}}}" }}'
    return fine(
        subject, f"{account.system} now sends webhooks to {hook}; add to the account: {setting}"
    )


def _demand_writable(path: Path) -> None:
    """Check before the registration that its secret can be written."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _is_for_a_secret(path: Path) -> bool:
    """Whether overwriting loses nothing: the file does not exist, is empty, or has one word."""
    if not path.exists():
        return True
    found = read_regular(path, _LARGEST_SECRET)
    return len(found) < _LARGEST_SECRET and len(found.split()) <= 1


def _keep(path: Path, secret: str) -> None:
    path.chmod(0o600)
    path.write_text(f"{secret}\n")
