"""The built-in channels: the system's own messages and writing back to it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from service.channels import Channel
from service.clock import VirtualClock
from service.errors import SendError
from tests.contract.channel_rigs import CreateRig, CustomerRig, SourceRig, opened
from tests.harness.receivers import Answer, HttpReceiver

CUSTOMER = CustomerRig.message
CREATE = CreateRig.message


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> SourceRig:
    made: type[SourceRig] = request.param
    return made()


@pytest.fixture
def system(rig: SourceRig) -> HttpReceiver:
    return rig.receiver


@pytest.fixture
async def channel(rig: SourceRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


customer = pytest.mark.parametrize("rig", [CustomerRig], indirect=True)
writes = pytest.mark.parametrize("rig", [CreateRig], indirect=True)


@customer
async def test_the_notification_is_the_target(system: HttpReceiver, channel: Channel) -> None:
    """`customer:on_the_way` is that call; `employee` has no target and is its own."""
    await channel.send(CUSTOMER)
    await channel.send(replace(CUSTOMER, channel="employee", target=""))
    paths = [request.path for request in system.requests]
    assert paths == ["/tasks/T1/on_the_way", "/tasks/T1/employee"]


@customer
async def test_an_unknown_notification_is_final(system: HttpReceiver, channel: Channel) -> None:
    """The error says what the system could send instead, and nothing was called."""
    with pytest.raises(SendError, match=r"'details'; it has: employee, on_the_way") as caught:
        await channel.send(replace(CUSTOMER, target="details"))
    assert caught.value.permanent
    assert system.requests == []


@customer
@pytest.mark.parametrize(
    ("answer", "permanent", "unknown", "pause"),
    [
        (Answer(401), True, False, None),
        (Answer(404), True, False, None),
        (Answer(422), True, False, None),
        (Answer(429, headers={"retry-after": "9"}), False, False, timedelta(seconds=9)),
        (Answer(500), False, True, None),
        (Answer(200, b"<html>"), False, True, None),
    ],
    ids=["401", "404", "422", "429", "500", "page"],
)
async def test_what_the_system_said_decides(
    system: HttpReceiver,
    channel: Channel,
    answer: Answer,
    *,
    permanent: bool,
    unknown: bool,
    pause: timedelta | None,
) -> None:
    """A customer's message is tried again only where the system surely did nothing."""
    system.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(CUSTOMER)
    error = caught.value
    assert (error.permanent, error.outcome_unknown, error.retry_after) == (
        permanent,
        unknown,
        pause,
    )


@writes
async def test_a_write_gives_the_task_it_wrote(system: HttpReceiver, channel: Channel) -> None:
    """The receipt holds the new task's id, or that of the changed one."""
    assert await channel.send(CREATE) == {"task": "T2"}
    assert await channel.send(replace(CREATE, channel="update_task")) == {"task": "T1"}
    calls = [(request.method, request.path) for request in system.requests]
    assert calls == [("POST", "/tasks/new"), ("PUT", "/tasks/T1")]


@writes
async def test_a_write_that_the_system_lacks_is_final(
    system: HttpReceiver, channel: Channel
) -> None:
    """Refused with a sentence, without a call."""
    with pytest.raises(SendError, match=r"field \(sandglass\) cannot complete tasks") as caught:
        await channel.send(replace(CREATE, channel="complete_task"))
    assert caught.value.permanent
    assert system.requests == []


@writes
@pytest.mark.parametrize(("action", "unknown"), [("create_task", True), ("update_task", False)])
async def test_only_a_change_may_be_made_again(
    system: HttpReceiver, channel: Channel, action: str, *, unknown: bool
) -> None:
    """After a lost answer a second task would be one too many, the same change would not."""
    system.reply(Answer(500))
    with pytest.raises(SendError) as caught:
        await channel.send(replace(CREATE, channel=action))
    assert (caught.value.outcome_unknown, caught.value.permanent) == (unknown, False)
