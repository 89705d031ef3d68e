"""The doctor's checks of other hosts: the accounts' systems, the channels. Nothing is sent."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

import httpx

from service.channels import ChannelOptions, kinds
from service.cli.doctor.findings import Finding, fine, note, wrong
from service.clock import Clock
from service.config import Config
from service.errors import (
    SendError,
    SourceError,
    SourceThrottled,
    SourceUnauthorized,
    SourceUnreachable,
)
from service.http.client import open_client
from service.http.connection_check import ConnectionCheck, check_connection
from service.http.throttle import Unthrottled
from service.sources import Source, systems
from service.sources.account import Account

_PATIENCE = 20.0  # seconds
_TOLERABLE_SKEW = timedelta(minutes=1)


async def examine(config: Config, clock: Clock) -> list[Finding]:
    """Check every account and channel, concurrently; findings in the configuration's order."""
    async with open_client(config.allow) as client:
        accounts = [_account(one, client, clock) for one in config.accounts.values()]
        check = partial(check_connection, config.allow)
        channels = [_channel(one, client, clock, check) for one in config.channels.values()]
        found = await asyncio.gather(*accounts, *channels)
    return [finding for some in found for finding in some]


async def _account(account: Account, client: httpx.AsyncClient, clock: Clock) -> list[Finding]:
    subject = f"account {account.name}"
    source = systems()[account.system].connect(account, client, clock, Unthrottled())
    try:
        async with asyncio.timeout(_PATIENCE):
            await source.probe()
    except SourceError as error:
        return [_trouble(subject, account, error), *_door(subject, account)]
    except TimeoutError:
        slow = wrong(subject, f"no answer in {_PATIENCE:g} s", "ask the people who run the system")
        return [slow, *_door(subject, account)]
    return [
        fine(subject, f"{account.system} answers and accepts the token{_left(source)}"),
        *await _skew(subject, account, client, clock),
        *_door(subject, account),
        *await _pushes(subject, source),
    ]


def _left(source: Source) -> str:
    """How many calls the system still allows."""
    left = source.upstream.allowance
    if left is None:
        return "; it does not say how many calls are left"
    return f"; it allows {left.remaining} more calls for now"


async def _pushes(subject: str, source: Source) -> list[Finding]:
    """Whether the system sends webhooks here; silent if it cannot."""
    name = source.account.name
    try:
        hooks = await source.webhook_urls()
    except SourceError as error:
        advice = f"check them in {source.account.system}"
        return [note(subject, f"its webhooks cannot be listed: {error}", advice)]
    if hooks is None:
        return []
    if ours := [hook for hook in hooks if hook.endswith(f"/hooks/{name}")]:
        return [fine(subject, f"it sends webhooks to {', '.join(ours)}")]
    return [
        note(
            subject,
            "it can send webhooks but does not, so changes are noticed only at the next poll",
            f"to set them up: taskbell doctor --subscribe {name} --url https://… --secret-file …",
        )
    ]


def _trouble(subject: str, account: Account, error: SourceError) -> Finding:
    said = str(error).removeprefix(f"{account.name}: ")
    if isinstance(error, SourceThrottled):
        return note(
            subject, said, "this is temporary; Taskbell waits as long as the system asks for"
        )
    if isinstance(error, SourceUnauthorized):
        advice = (
            f"create a new token in {account.system} and store it where the configuration reads it"
        )
    elif isinstance(error, SourceUnreachable):
        advice = f"check that base_url ({account.base_url}) is correct and this machine is online"
    else:
        advice = f"check that base_url ({account.base_url}) is correct, or try again later"
    return wrong(subject, said, advice)


def _door(subject: str, account: Account) -> list[Finding]:
    if account.webhook is None:
        return [
            note(
                subject,
                f"no webhooks are accepted: /hooks/{account.name} answers 404, so changes are"
                " noticed only at the next poll",
                "add webhook: { verify: …, secret: … } to the account if its system sends any",
            )
        ]
    if account.has_signed_webhooks:
        return [fine(subject, f"webhooks are verified ({account.webhook.verify})")]
    return [
        note(
            subject,
            "webhooks are not verified: anyone who can reach"
            f" /hooks/{account.name} can send fake ones",
            "replace verify: none by another scheme, such as verify: token, and add secret:",
        )
    ]


async def _skew(
    subject: str, account: Account, client: httpx.AsyncClient, clock: Clock
) -> list[Finding]:
    """Compare this machine's clock with the system's; silent if that is not possible."""
    theirs = await _time_at(client, account.base_url)
    if theirs is None:
        return []
    skew = clock.now() - theirs
    if abs(skew) <= _TOLERABLE_SKEW:
        return [fine(subject, "its clock and this machine's agree")]
    direction = "ahead of" if skew > timedelta(0) else "behind"
    minutes = f"{abs(skew).total_seconds() / 60:.0f} min"
    return [
        wrong(
            subject,
            f"this machine's clock is {minutes} {direction} the clock of {account.base_url}",
            "let this machine set its clock automatically (NTP): due times depend on it",
        )
    ]


async def _time_at(client: httpx.AsyncClient, url: str) -> datetime | None:
    """The time in a server's responses; None if there is none."""
    try:
        answer = await client.head(f"{url.rstrip('/')}/")
        moment = parsedate_to_datetime(answer.headers["date"])
    except (httpx.RequestError, KeyError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _channel(
    options: ChannelOptions, client: httpx.AsyncClient, clock: Clock, check: ConnectionCheck
) -> list[Finding]:
    subject = f"channel {options.name}"
    channel = kinds()[options.kind](options, client, clock)
    try:
        left = await channel.probe(check)
    except SendError as error:
        advice = (
            f"correct channels.{options.name} in the configuration, or ask the people who run it"
        )
        return [wrong(subject, str(error), advice)]
    finally:
        await channel.close()
    return [fine(subject, left or f"{options.kind} can be reached; nothing was sent")]
