"""After a write of which nobody knows whether it arrived, the task is read back."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.channels import Message
from service.channels.task_writes import WritesChannel
from service.clock import VirtualClock
from service.errors import SendError
from service.sandbox.faults import Fault, FaultKind
from service.sources import systems
from service.sources.reader import Raw
from tests.contract.source_rig import LONG, Rig, rigged, sample

ARRIVED = (
    FaultKind.LATE,
    FaultKind.FAILED_AFTER,
    FaultKind.RESET_AFTER,
    FaultKind.BROKEN_OFF,
    FaultKind.TRUNCATED,
    FaultKind.WRONG_TYPE,
)
NOT_ARRIVED = (
    FaultKind.FAILED,
    FaultKind.RESET_BEFORE,
    FaultKind.UNAVAILABLE,
    FaultKind.PAGE,
    FaultKind.REDIRECT,
)
WRITING = sorted(name for name, source in systems().items() if source.writes)


@pytest.fixture(params=WRITING)
async def rig(request: pytest.FixtureRequest, clock: VirtualClock) -> AsyncIterator[Rig]:
    async with rigged(request.param, clock) as ready:
        yield ready


@pytest.fixture
def channel(rig: Rig) -> WritesChannel:
    return WritesChannel(rig.source)


def message(rig: Rig, action: str, task_id: str = "T1", **fields: Any) -> Message:
    """What a rule has to say to the system, of an event a minute ago."""
    at = rig.clock.now() - timedelta(minutes=1)
    return Message(
        key="k-1",
        channel=action,
        target="",
        text="",
        account=rig.source.account.name,
        task_id=task_id,
        rule="invoice",
        type="task.completed",
        at=at,
        fields=fields or None,
    )


def invoice(rig: Rig) -> Message:
    """A new task, with all that the system needs."""
    due = (rig.clock.now() + timedelta(days=1)).replace(microsecond=0)
    needed = sample(rig.source.account.system, "words")
    return message(rig, "create_task", title="Send the invoice", due=due.isoformat(), **needed)


def invoices(rig: Rig) -> list[str]:
    """The tasks that were made of it."""
    named = rig.system.title
    return [key for key, raw in rig.system.tasks.items() if raw[named] == "Send the invoice"]


async def fail(channel: WritesChannel, wanted: Message) -> SendError:
    with pytest.raises(SendError) as caught:
        await channel.send(wanted)
    return caught.value


@pytest.mark.parametrize("kind", ARRIVED)
async def test_a_task_that_was_made_is_found(
    rig: Rig, channel: WritesChannel, kind: FaultKind
) -> None:
    """Its answer was lost; it is not made a second time."""
    rig.make(4)
    rig.system.faults.set(Fault(kind, method="POST", seconds=LONG))
    wanted = invoice(rig)
    error = await fail(channel, wanted)
    assert (error.outcome_unknown, error.permanent) == (True, False)
    rig.clock.advance(timedelta(minutes=5))
    assert await channel.find(wanted) == {"task": invoices(rig)[0]}
    assert len(invoices(rig)) == 1


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
async def test_a_list_that_does_not_hold_still_proves_nothing(
    rig: Rig, channel: WritesChannel, shift: int
) -> None:
    """Whether the task was made stays open until it is found, or a list is to be trusted."""
    rig.make(12)
    rig.system.faults.set(Fault(FaultKind.RESET_AFTER, method="POST"))
    wanted = invoice(rig)
    await fail(channel, wanted)
    rig.clock.advance(timedelta(minutes=5))
    rig.system.set_quirks(shift=shift)
    with suppress(SendError):
        assert await channel.find(wanted) == {"task": invoices(rig)[0]}


@pytest.mark.parametrize("kind", NOT_ARRIVED)
async def test_a_task_that_was_not_made_is_not_found(
    rig: Rig, channel: WritesChannel, kind: FaultKind
) -> None:
    """Nor is one that only looks like it: it may be made."""
    rig.make(4)
    rig.system.faults.set(Fault(kind, method="POST", seconds=0))
    wanted = invoice(rig)
    await fail(channel, wanted)
    assert await channel.find(wanted) is None
    await channel.send(wanted)
    assert len(invoices(rig)) == 1


async def test_an_older_task_of_the_same_name_is_another(rig: Rig, channel: WritesChannel) -> None:
    """It was there before the event that asked for the new one."""
    await channel.send(invoice(rig))
    rig.clock.advance(timedelta(days=2))
    assert await channel.find(replace(invoice(rig), fields={"title": "Send the invoice"})) is None


@pytest.mark.parametrize("skew", [timedelta(hours=-8), timedelta(hours=8)])
async def test_a_clock_that_is_wrong_over_there_hides_no_task(
    rig: Rig, channel: WritesChannel, skew: timedelta
) -> None:
    """A task that seems to have been made hours before it was asked for is found all the same."""
    rig.system.set_quirks(skew=skew.total_seconds())
    wanted = invoice(rig)
    made = await channel.send(wanted)
    assert await channel.find(wanted) == made


async def test_a_task_is_found_though_its_system_has_tidied_it_up(
    rig: Rig, channel: WritesChannel
) -> None:
    """Blanks are squeezed and accents composed by one, seconds are left out by another."""
    due = (rig.clock.now() + timedelta(days=1)).replace(second=33, microsecond=0)
    said = {**(invoice(rig).fields or {}), "title": "  Invoice for  Zoe\u0308 ", "due": f"{due}"}
    made = await channel.send(replace(invoice(rig), fields=said))
    tidied = {rig.system.title: "Invoice for Zo\u00eb", rig.system.when: due.replace(second=0)}
    rig.system.change(made["task"], **tidied)
    assert await channel.find(replace(invoice(rig), fields=said)) == made


async def test_a_task_of_the_same_name_with_another_date_is_another(
    rig: Rig, channel: WritesChannel
) -> None:
    """The due date tells two of the same name apart."""
    wanted = invoice(rig)
    await channel.send(wanted)
    assert await channel.find(wanted) is not None
    later = {**(wanted.fields or {}), "due": "2030-01-01T09:00:00Z"}
    assert await channel.find(replace(wanted, fields=later)) is None


async def test_what_another_message_made_is_not_taken(rig: Rig, channel: WritesChannel) -> None:
    """Neither what is written down as another's, nor what another one has found meanwhile."""
    wanted = invoice(rig)
    made = await channel.send(wanted)
    assert await channel.find(replace(wanted, others=frozenset({made["task"]}))) is None
    assert await channel.find(wanted) == made
    assert await channel.find(wanted) == made
    assert await channel.find(replace(wanted, key="k-2")) is None


async def test_a_change_that_arrived_is_found(rig: Rig, channel: WritesChannel) -> None:
    """Then whatever somebody wrote afterwards is not written over."""
    (task_id,) = rig.make(1)
    wanted = message(rig, "update_task", task_id, title="Call again")
    rig.system.faults.set(Fault(FaultKind.RESET_AFTER, method="PUT"))
    assert not (await fail(channel, wanted)).outcome_unknown
    assert await channel.find(wanted) == {"task": task_id}
    rig.system.change(task_id, **{rig.system.title: "Call Ida"})
    assert await channel.find(wanted) is None


async def test_a_completion_that_arrived_is_found(rig: Rig, channel: WritesChannel) -> None:
    """After a failed call a completion that arrived is found; one that did not is not."""
    (task_id,) = rig.make(1)
    wanted = message(rig, "complete_task", task_id)
    assert await channel.find(wanted) is None
    rig.system.finish(task_id)
    assert await channel.find(wanted) == {"task": task_id}


async def test_a_task_that_cannot_be_read_hides_no_other(rig: Rig, channel: WritesChannel) -> None:
    """A date that is none among the others does not keep the right one from being found."""
    wanted = invoice(rig)
    broken: Raw = rig.system.make()
    broken["created_at"] = "soon"
    made = await channel.send(wanted)
    assert await channel.find(wanted) == made


async def test_a_failure_while_reading_back_is_no_answer(rig: Rig, channel: WritesChannel) -> None:
    """Whether it is there is not known, so nothing is made."""
    rig.system.faults.set(Fault(FaultKind.FAILED, method="GET"))
    with pytest.raises(SendError):
        await channel.find(invoice(rig))
    assert rig.system.record.writes == []
