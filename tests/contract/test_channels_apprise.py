"""Apprise: several targets, what is said of each, and what must not show anywhere."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import StringIO

import httpx
import pytest
from pydantic import ValidationError

from service.channels import Channel
from service.channels.apprise import AppriseOptions
from service.clock import VirtualClock
from service.errors import SendError
from service.http.client import open_client
from service.http.connection_check import check_connection
from tests.contract.channel_rigs import MESSAGE, AppriseRig, configured, opened
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver

SECRETS = ("key-one-in-the-path", "key-two-in-the-path")


@pytest.fixture
async def receivers() -> AsyncIterator[tuple[HttpReceiver, HttpReceiver]]:
    async with HttpReceiver() as one, HttpReceiver() as other:
        yield one, other


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(LOOPBACK) as opened:
        yield opened


@pytest.fixture
def channel(
    receivers: tuple[HttpReceiver, HttpReceiver], client: httpx.AsyncClient, clock: VirtualClock
) -> Channel:
    """A channel with two targets."""
    pairs = zip(receivers, SECRETS, strict=True)
    urls = [f"json://127.0.0.1:{one.port}/{secret}" for one, secret in pairs]
    return configured("apprise", client, clock, url=urls, unguarded=True)


async def test_all_targets_get_title_and_text(
    receivers: tuple[HttpReceiver, HttpReceiver], channel: Channel
) -> None:
    """As they are: a text is no markup of any kind."""
    await channel.send(replace(MESSAGE, subject="Done *now*", text="**<b>** & {{x}} @here\nline"))
    for receiver in receivers:
        [request] = receiver.requests
        assert request.json["title"] == "Done *now*"
        assert request.json["message"] == "**<b>** & {{x}} @here\nline"


async def test_only_what_failed_is_sent_again(
    receivers: tuple[HttpReceiver, HttpReceiver], channel: Channel
) -> None:
    """The error says which target failed; the next attempt leaves out the other."""
    one, other = receivers
    other.reply(Answer(500))
    with pytest.raises(SendError, match=r"target 2 \(JSON\) failed.*1 of 2 targets") as caught:
        await channel.send(MESSAGE)
    assert (caught.value.permanent, caught.value.outcome_unknown) == (False, True)
    await channel.send(replace(MESSAGE, progress=caught.value.progress))
    assert (len(one.requests), len(other.requests)) == (1, 2)


async def test_progress_is_that_of_one_message_and_holds_no_address(channel: Channel) -> None:
    """What is kept of a target tells nothing, and not even that it is the same one elsewhere."""
    first = await channel.send(MESSAGE)
    second = await channel.send(replace(MESSAGE, key="another"))
    assert len(first["told"]) == 2
    assert not {*first["told"]} & {*second["told"]}


async def test_a_target_without_an_answer_holds_up_nothing(
    receivers: tuple[HttpReceiver, HttpReceiver], channel: Channel
) -> None:
    """Apprise waits in a thread: meanwhile others work; the timeout of the channel holds."""
    receivers[0].reply(Answer(delay=30))
    loop = asyncio.get_running_loop()
    began, turns = loop.time(), 0
    sending = asyncio.ensure_future(channel.send(MESSAGE))
    while not sending.done():
        await asyncio.sleep(0.01)
        turns += 1
    with pytest.raises(SendError, match=r"target 1 \(JSON\) failed.*1 of 2 targets"):
        await sending
    assert turns > 20
    assert loop.time() - began < 25
    assert len(receivers[1].requests) == 1


async def test_why_it_failed_is_said_if_that_quotes_nothing(clock: VirtualClock) -> None:
    """Apprise's own words, with the name of the server."""
    rig = AppriseRig()
    async with opened(rig, clock) as channel:
        rig.receiver.reply(Answer(401))
        with pytest.raises(SendError, match="error=401") as caught:
            await channel.send(MESSAGE)
        await rig.receiver.stop()
        with pytest.raises(SendError, match=r"JSON failed: A Connection error.* 127\.0\.0\.1"):
            await channel.send(MESSAGE)
    assert caught.value.progress == {"told": []}


async def test_no_log_quotes_an_address(clock: VirtualClock) -> None:
    """Taskbell logs no warning of Apprise, because it may quote an address."""
    rig, written, root = AppriseRig(), StringIO(), logging.getLogger()
    handler = logging.StreamHandler(written)
    handler.setLevel(logging.WARNING)
    root.addHandler(handler)
    try:
        async with opened(rig, clock) as channel:
            rig.fail()
            with pytest.raises(SendError, match="error=429"):
                await channel.send(MESSAGE)
    finally:
        root.removeHandler(handler)
    assert written.getvalue() == ""


async def test_a_probe_names_what_it_cannot_try(
    receivers: tuple[HttpReceiver, HttpReceiver], client: httpx.AsyncClient, clock: VirtualClock
) -> None:
    """Where an address names no server, only a message would show whether it works."""
    phone = f"twilio://AC{'a' * 32}:{'b' * 32}@15551234567/15557654321"
    urls = [f"json://127.0.0.1:{receivers[0].port}/key", phone]
    channel = configured("apprise", client, clock, url=urls, unguarded=True)
    said = await channel.probe(partial(check_connection, LOOPBACK))
    assert said == "only a message would show whether target 2 (Twilio) works"
    assert receivers[0].requests == []


async def test_a_probe_says_which_target_is_away(
    receivers: tuple[HttpReceiver, HttpReceiver], channel: Channel
) -> None:
    """By its number, and by its server."""
    await receivers[1].stop()
    with pytest.raises(SendError, match=r"target 2 \(JSON\): 127.* does not accept connections"):
        await channel.probe(partial(check_connection, LOOPBACK))


async def test_an_empty_text_is_not_sent(channel: Channel) -> None:
    """Apprise takes none."""
    with pytest.raises(SendError, match="the text is empty") as caught:
        await channel.send(replace(MESSAGE, text=" \n"))
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "json://u:s3cr3t@h.test"}, "Apprise connects by itself"),
        ({"url": "json://u:s3cr3t@h.test", "unguarded": False}, "Apprise connects by itself"),
        (
            {"url": "s3cr3t://h.test", "unguarded": True},
            "url is not an address that Apprise can use",
        ),
        (
            {"url": ["json://h.test", "s3cr3t"], "unguarded": True},
            "number 2 of url is not an address",
        ),
        ({"url": [], "unguarded": True}, "at least 1 item"),
    ],
)
def test_faulty_options_are_refused_without_repeating_them(
    given: dict[str, object], said: str
) -> None:
    """An address holds keys; and that Apprise goes past the guard has to be meant."""
    with pytest.raises(ValidationError, match=said) as caught:
        AppriseOptions.model_validate({"name": "m", "kind": "apprise", **given})
    assert "s3cr3t" not in str(caught.value)


def test_one_address_needs_no_list() -> None:
    """It is one target; the timeout is that of every channel."""
    options = AppriseOptions.model_validate(
        {"name": "m", "kind": "apprise", "url": "json://h.test", "unguarded": True}
    )
    assert options.timeout == timedelta(seconds=15)
    assert len(options.url) == 1
