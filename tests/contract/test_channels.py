"""What every channel must do, each against a real receiver; a new kind is tested by itself."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from service.channels import Channel, kinds
from service.clock import VirtualClock
from service.errors import SendError
from service.http.connection_check import check_connection
from tests.contract.channel_rigs import RIGS, Rig, opened
from tests.harness.receivers import LOOPBACK

EVERY = sorted({*kinds(), *RIGS})


@pytest.fixture(params=EVERY)
def rig(request: pytest.FixtureRequest) -> Rig:
    if request.param not in RIGS:
        pytest.fail(f"{request.param} has no rig in tests/contract/channel_rigs.py")
    return RIGS[request.param]()


@pytest.fixture
async def channel(rig: Rig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


async def test_a_message_arrives_once(rig: Rig, channel: Channel) -> None:
    """What was sent without an error is there, one time."""
    await channel.send(rig.message)
    assert len(rig.arrived()) == 1


@pytest.mark.parametrize("kind", [name for name in kinds() if RIGS[name].carries_key])
async def test_every_attempt_carries_the_same_key(kind: str, clock: VirtualClock) -> None:
    """The receiver can tell that the second attempt of a delivery is no second message."""
    rig = RIGS[kind]()
    async with opened(rig, clock) as channel:
        await channel.send(rig.message)
        clock.advance(timedelta(hours=2))
        await channel.send(rig.message)
        await channel.send(replace(rig.message, key="another"))
    assert rig.arrived() == [rig.message.key, rig.message.key, "another"]


async def test_a_channel_that_looks_for_messages_says_so(channel: Channel) -> None:
    """Else its first attempt could be forgotten in a crash, and nobody would look for it."""
    assert channel.finds == (type(channel).find is not Channel.find)


async def test_silence_leaves_the_outcome_unknown(rig: Rig, channel: Channel) -> None:
    """The message arrived and the answer did not come: nobody may claim either."""
    rig.hang()
    error = await _failure(rig, channel)
    assert (error.outcome_unknown, error.permanent) == (True, False)
    assert len(rig.arrived()) == 1


async def test_a_lost_connection_leaves_the_outcome_unknown(rig: Rig, channel: Channel) -> None:
    """The message arrived and the connection broke before the answer."""
    rig.cut()
    error = await _failure(rig, channel)
    assert (error.outcome_unknown, error.permanent) == (True, False)
    assert len(rig.arrived()) == 1


async def test_nobody_there_can_be_tried_again(rig: Rig, channel: Channel) -> None:
    """Where no connection came about, surely nothing was sent, if the channel is told so."""
    await rig.receiver.stop()
    error = await _failure(rig, channel)
    assert (error.outcome_unknown, error.permanent) == (not rig.is_told_why, False)


async def test_not_now_can_be_tried_again(rig: Rig, channel: Channel) -> None:
    """A receiver that asks for patience gets the message later, and once."""
    rig.fail()
    error = await _failure(rig, channel)
    assert (error.outcome_unknown, error.permanent) == (not rig.is_told_why, False)


async def test_a_channel_goes_on_after_a_failure(rig: Rig, channel: Channel) -> None:
    """One lost connection does not spoil the messages after it."""
    rig.cut()
    await _failure(rig, channel)
    rig.recover()
    await channel.send(rig.message)
    assert len(rig.arrived()) == 2


async def test_no_secret_in_any_error(rig: Rig, channel: Channel) -> None:
    """Neither an error nor anything that caused it shows what only Taskbell may know."""
    for trouble in (rig.fail, rig.cut, rig.hang):
        trouble()
        _assert_silent(await _failure(rig, channel), rig)
        rig.recover()
    await rig.receiver.stop()
    _assert_silent(await _failure(rig, channel), rig)


@pytest.mark.parametrize(
    ("kind", "undo"), [(name, way) for name, made in kinds().items() for way in sorted(made.undoes)]
)
async def test_a_sent_message_can_be_taken_back(kind: str, undo: str, clock: VirtualClock) -> None:
    """In every way that a channel names; only an answer is one more message."""
    rig = RIGS[kind]()
    async with opened(rig, clock) as channel:
        receipt = await channel.send(rig.message)
        back = replace(rig.message, key="of-the-undo", text="reopened", receipt=receipt, undo=undo)
        again = await channel.take_back(back)
    assert (again == receipt) is (undo != "thread")
    assert len(rig.arrived()) == (2 if undo == "thread" else 1)


@pytest.mark.parametrize("kind", kinds())
async def test_a_probe_tells_whether_somebody_is_there_and_sends_nothing(
    kind: str, clock: VirtualClock
) -> None:
    """It passes while the receiver listens, fails in plain words when not, and nothing arrives."""
    rig = RIGS[kind]()
    async with opened(rig, clock) as channel:
        await channel.probe(partial(check_connection, LOOPBACK))
        await rig.receiver.stop()
        with pytest.raises(SendError, match=r"127.*does not accept connections") as caught:
            await channel.probe(partial(check_connection, LOOPBACK))
    _assert_silent(caught.value, rig)
    assert rig.arrived() == []


async def _failure(rig: Rig, channel: Channel) -> SendError:
    with pytest.raises(SendError) as caught:
        await channel.send(rig.message)
    return caught.value


def _assert_silent(error: SendError, rig: Rig) -> None:
    for link in _chain(error):
        for secret in rig.secrets:
            assert secret not in f"{link} {link!r}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
