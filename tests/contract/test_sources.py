"""What every system's source must do, against its sandbox over a real socket."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest
from pydantic import ValidationError

from service.clock import VirtualClock
from service.domain.model import Task
from service.errors import (
    OutcomeUnknown,
    SourceBroken,
    SourceError,
    SourceRejected,
    SourceThrottled,
    SourceUnauthorized,
)
from service.http.rate_limit_headers import Allowance
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.kickserv import PLANTED
from service.sources import systems
from service.sources.fingerprints import fingerprint
from tests.contract.source_rig import LONG, Rig, connect, rigged, sample

READING: dict[FaultKind, type[SourceError]] = {
    FaultKind.UNAUTHORIZED: SourceUnauthorized,
    FaultKind.REJECTED: SourceRejected,
    FaultKind.THROTTLED: SourceThrottled,
    FaultKind.THROTTLED_UNTIL: SourceThrottled,
    FaultKind.UNAVAILABLE: SourceThrottled,
    FaultKind.FAILED: SourceBroken,
    FaultKind.PAGE: SourceBroken,
    FaultKind.REDIRECT: SourceBroken,
    FaultKind.EMPTY: SourceBroken,
    FaultKind.RESET_BEFORE: SourceBroken,
    FaultKind.SLOW: SourceBroken,
    FaultKind.LATE: SourceBroken,
    FaultKind.FAILED_AFTER: SourceBroken,
    FaultKind.RESET_AFTER: SourceBroken,
    FaultKind.BROKEN_OFF: SourceBroken,
    FaultKind.TRUNCATED: SourceBroken,
    FaultKind.WRONG_TYPE: SourceBroken,
}
WRITING: dict[FaultKind, type[SourceError]] = {
    kind: OutcomeUnknown if error is SourceBroken or kind is FaultKind.UNAVAILABLE else error
    for kind, error in {**READING, FaultKind.NOT_FOUND: SourceRejected}.items()
    if kind is not FaultKind.EMPTY
}
PAGES = 3


@pytest.fixture(params=sorted(systems()))
async def rig(request: pytest.FixtureRequest, clock: VirtualClock) -> AsyncIterator[Rig]:
    """Each system in turn, three tasks to a page."""
    async with rigged(request.param, clock) as ready:
        yield ready


async def test_a_probe_reads_one_page(rig: Rig) -> None:
    """Good credentials pass, refused ones raise, and no more than one call is made."""
    rig.make(5)
    await rig.source.probe()
    assert len(rig.system.record.requests) == 1
    rig.system.faults.set(Fault(FaultKind.UNAUTHORIZED))
    with pytest.raises(SourceUnauthorized):
        await rig.source.probe()


@pytest.mark.parametrize("system", sorted(systems()))
async def test_the_sample_task_is_read_in_full(system: str, clock: VirtualClock) -> None:
    """Every field of the system's own JSON lands where the rule language looks for it."""
    async with rigged(system, clock) as rig:
        task = rig.source.parse(sample(system, "task"))
    assert task == Task.from_dict(sample(system, "task.expected"))
    assert rig.source.is_whole(sample(system, "task"))


async def test_a_scan_lists_every_task_once(rig: Rig) -> None:
    """Seven tasks on pages of three, and one more when there is one more."""
    made = rig.make(7)
    assert sorted(map(rig.id_of, await rig.listed())) == sorted(made)
    made += rig.make(2)
    assert sorted(map(rig.id_of, await rig.listed())) == sorted(made)


async def test_a_scan_of_nothing_is_complete(rig: Rig) -> None:
    """No tasks is an answer, not a failure; whether to believe it is for others to say."""
    assert await rig.listed() == []
    rig.make(4)
    rig.system.set_quirks(empty=True)
    assert await rig.listed() == []


async def test_pages_carry_the_time_at_which_they_were_asked_for(rig: Rig) -> None:
    """A change that comes in while a page is under way is newer than the page."""
    rig.make(1)
    started = rig.clock.now()
    async for page in rig.source.scan():
        assert page.requested_at == started
        rig.clock.advance(timedelta(seconds=5))
        started = rig.clock.now()


@pytest.mark.parametrize("shift", [1, -1])
async def test_pages_that_shift_give_no_task_twice(rig: Rig, shift: int) -> None:
    """Rows inserted or removed meanwhile repeat or skip tasks; none is given twice."""
    made = rig.make(8)
    rig.system.set_quirks(shift=shift)
    listed = [rig.id_of(raw) for raw in await rig.listed()]
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(made)


async def test_a_list_that_loops_is_broken_off(rig: Rig) -> None:
    """A page that comes again and again ends the scan with an error, so that it proves nothing."""
    rig.make(8)
    rig.system.set_quirks(loop=True)
    rig.system.record.requests.clear()
    with pytest.raises(SourceBroken):
        await rig.listed()
    assert len(rig.system.record.requests) <= PAGES


async def test_a_link_to_another_origin_is_not_followed(rig: Rig) -> None:
    """Who counts pages reads on; who follows links gives up, and never goes there."""
    made = rig.make(8)
    rig.system.set_quirks(foreign_next=True)
    with suppress(SourceBroken):
        assert len(await rig.listed()) == len(made)


@pytest.mark.parametrize("quirk", ["bare", "wrapped"])
async def test_each_shape_of_an_answer_is_understood(rig: Rig, quirk: str) -> None:
    """With or without envelope, around the list or around each task."""
    made = rig.make(5)
    rig.system.set_quirks(**{quirk: True})
    assert [rig.id_of(raw) for raw in await rig.listed()] == made
    assert await rig.source.fetch(made[0]) is not None


async def test_a_list_without_end_is_given_up(clock: VirtualClock) -> None:
    """However many pages a system claims to have, the number of calls is bounded."""
    for system in systems():
        async with rigged(system, clock, max_pages=2) as rig:
            rig.make(8)
            with pytest.raises(SourceBroken, match=r"more than 2 pages; .* max_pages"):
                await rig.listed()


async def test_a_task_looks_the_same_in_a_list_and_by_itself(rig: Rig) -> None:
    """Else every poll after a fetch would look like a change."""
    (task_id,) = rig.make(1)
    (listed,) = await rig.listed()
    fetched, enriched = await rig.source.fetch(task_id), await rig.source.enrich(listed)
    assert fetched is not None
    assert enriched is not None
    prints = {fingerprint(rig.source.list_view(raw)) for raw in (listed, fetched, enriched)}
    assert len(prints) == 1
    assert rig.source.parse(fetched) == rig.source.parse(enriched)


async def test_a_finished_task_is_done(rig: Rig) -> None:
    """Done, with the time, and the version moves on."""
    (task_id,) = rig.make(1)
    before = await rig.source.fetch(task_id)
    rig.clock.advance(timedelta(minutes=1))
    rig.system.finish(task_id)
    after = await rig.source.fetch(task_id)
    assert before is not None
    assert after is not None
    assert not rig.source.parse(before).done
    assert rig.source.parse(after).done
    assert rig.source.parse(after).completed_at is not None
    versions = rig.source.version(before), rig.source.version(after)
    assert versions[0] is None or (versions[1] is not None and versions[0] < versions[1])


async def test_a_deleted_task_is_gone_by_id(rig: Rig) -> None:
    """Whatever the system calls "there is none", it is None."""
    kept, deleted = rig.make(2)
    rig.system.delete(deleted)
    assert await rig.source.fetch(deleted) is None
    assert await rig.source.fetch(kept) is not None


@pytest.mark.parametrize("kind", sorted(READING))
async def test_a_failing_read_says_how_it_failed(rig: Rig, kind: FaultKind) -> None:
    """Every fault is one of ours, of the right kind, and a task is never "gone" for it."""
    (task_id,) = rig.make(1)
    rig.system.faults.set(Fault(kind, times=2, seconds=LONG))
    with pytest.raises(SourceError) as caught:
        await rig.source.fetch(task_id)
    assert type(caught.value) is READING[kind]
    assert rig.source.account.name in str(caught.value)
    assert rig.source.account.token.get_secret_value() not in str(caught.value)


@pytest.mark.parametrize(
    "kind", [FaultKind.FAILED, FaultKind.TRUNCATED, FaultKind.UNAUTHORIZED, FaultKind.PAGE]
)
async def test_a_scan_that_fails_half_way_does_not_end_as_complete(
    rig: Rig, kind: FaultKind
) -> None:
    """The second page fails: what came is kept, and the failure is told."""
    rig.make(8)
    pages = rig.source.scan()
    assert len((await anext(pages)).raws) == PAGES
    rig.system.faults.set(Fault(kind))
    with pytest.raises(SourceError):
        await anext(pages)


@pytest.mark.parametrize("skew", [-3600, 3600])
async def test_a_pause_until_a_time_is_right_though_a_clock_is_wrong(rig: Rig, skew: int) -> None:
    """Their clock is an hour off; "until" still means two minutes from now."""
    rig.system.set_quirks(skew=skew)
    rig.system.faults.set(Fault(FaultKind.THROTTLED_UNTIL, seconds=120))
    with pytest.raises(SourceThrottled) as caught:
        await rig.listed()
    assert caught.value.retry_after == timedelta(minutes=2)


async def test_what_is_left_of_the_calls_allowed_is_known(rig: Rig) -> None:
    """The system counts; beyond its limit it asks for a pause until its minute is over."""
    (task_id,) = rig.make(1)
    rig.system.set_quirks(per_minute=1)
    await rig.source.fetch(task_id)
    assert rig.source.upstream.allowance == Allowance(0)
    rig.clock.advance(timedelta(seconds=20))
    with pytest.raises(SourceThrottled) as caught:
        await rig.source.fetch(task_id)
    assert caught.value.retry_after == timedelta(seconds=40)
    rig.clock.advance(timedelta(seconds=40))
    await rig.source.fetch(task_id)


async def test_a_wrong_token_is_refused_and_not_shown(rig: Rig, clock: VirtualClock) -> None:
    """The error says that the credentials were refused, and not what they were."""
    async with rigged(rig.source.account.system, clock, token="hunter2") as stranger:
        with pytest.raises(SourceUnauthorized) as caught:
            await stranger.listed()
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(stranger.source.account)


@pytest.mark.parametrize("system", sorted(systems()))
@pytest.mark.parametrize("base_url", ["", "app.example.com", "ftp://app.example.com", "https://"])
async def test_an_address_that_is_none_is_a_fault_of_the_configuration(
    system: str, base_url: str, clock: VirtualClock
) -> None:
    """It is told when the configuration is read, not when the first call fails."""
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValidationError, match="https://"):
            connect(system, clock, client, base_url)


@pytest.mark.parametrize("system", sorted(systems()))
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("token", "abc\u2013def"),
        ("token", "abc\ndef"),
        ("base_url", "https://me:hunter2@app.example.com"),
        ("base_url", "https://app.example.com?key=hunter2"),
    ],
)
def test_what_no_call_can_carry_is_a_fault_of_the_configuration(
    system: str, option: str, value: str
) -> None:
    """A dash that a mail program has made longer, a password in the address: told when read."""
    given = {**sample(system, "account"), "system": system, "base_url": "https://app.example.com"}
    with pytest.raises(ValidationError, match=f"{option}\n.*(copy it again|without user)"):
        systems()[system].options.model_validate({**given, option: value})


async def test_nothing_that_a_system_should_keep_to_itself_comes_through(rig: Rig) -> None:
    """No planted credential is in a row, a fetched task, a snapshot or a written task."""
    (task_id,) = rig.make(1)
    fetched = await rig.source.fetch(task_id)
    seen = [*(await rig.listed()), fetched, sample(rig.source.account.system, "task")]
    seen[-1] = rig.source.trim(seen[-1])
    snapshots = [rig.source.parse(raw) for raw in seen if raw is not None]
    for planted in PLANTED.values():
        assert planted not in repr(seen)
        assert planted not in repr(snapshots)


async def test_every_notification_is_sent_once(rig: Rig) -> None:
    """The system tells whom it was asked to tell, once each."""
    (task_id,) = rig.make(1)
    for notification in sorted(rig.source.notifications):
        await rig.source.notify(task_id, notification)
    told = [one.notification for one in rig.system.record.notifications]
    assert told == sorted(rig.source.notifications)


@pytest.mark.parametrize("kind", sorted(WRITING))
async def test_a_failing_notification_is_never_told_twice(rig: Rig, kind: FaultKind) -> None:
    """Where it may have arrived it is unknown, and whatever happened it was sent at most once."""
    (task_id,) = rig.make(1)
    for notification in sorted(rig.source.notifications)[:1]:
        rig.system.faults.set(Fault(kind, seconds=LONG))
        with pytest.raises(SourceError) as caught:
            await rig.source.notify(task_id, notification)
        assert type(caught.value) is WRITING[kind]
        assert len(rig.system.record.notifications) <= 1


async def test_a_created_task_can_be_fetched(rig: Rig) -> None:
    """A task that a rule makes has the words of the rule language."""
    if "create_task" not in rig.source.writes:
        pytest.skip("the system takes no tasks")
    due = rig.clock.now().replace(microsecond=0) + timedelta(days=1)
    needed = sample(rig.source.account.system, "words")
    words = {"title": "Send the invoice", "due": due.isoformat(), **needed}
    made = await rig.source.create_task(words)
    fetched = await rig.source.fetch(rig.id_of(made))
    assert fetched is not None
    task = rig.source.parse(fetched)
    assert (task.title, task.due) == ("Send the invoice", due)
    related = {word: getattr(task, word) for word in needed if word != "type"}
    assert {word: one.id for word, one in related.items()}.items() <= needed.items()


async def test_an_updated_task_keeps_the_rest(rig: Rig) -> None:
    """After `update_task` the fields that it did not name are as they were."""
    if "update_task" not in rig.source.writes:
        pytest.skip("the system's tasks cannot be written")
    (task_id,) = rig.make(1)
    due = rig.clock.now().replace(microsecond=0) + timedelta(days=2)
    updated = rig.source.parse(await rig.source.update_task(task_id, {"due": due.isoformat()}))
    assert (updated.title, updated.due) == ("Task 0", due)


async def test_a_word_that_no_task_has_is_rejected_by_name(rig: Rig) -> None:
    """A wrong word in a rule is told before anything is sent."""
    if "update_task" not in rig.source.writes:
        pytest.skip("the system's tasks cannot be written")
    (task_id,) = rig.make(1)
    with pytest.raises(SourceRejected, match="flavour"):
        await rig.source.update_task(task_id, {"flavour": "sour"})
    assert rig.system.record.writes == []


async def test_a_completed_task_is_done(rig: Rig) -> None:
    """Completing is one call, and the answer already says so."""
    if "complete_task" not in rig.source.writes:
        pytest.skip("the system's tasks cannot be completed")
    (task_id,) = rig.make(1)
    assert rig.source.parse(await rig.source.complete_task(task_id)).done
    assert len(rig.system.record.writes) == 1


async def test_a_task_that_is_reopened_is_open(rig: Rig) -> None:
    """It is one call, and none where the task is open."""
    if "reopen_task" not in rig.source.writes:
        pytest.skip("the system's tasks cannot be reopened")
    (task_id,) = rig.make(1)
    rig.system.finish(task_id)
    task = rig.source.parse(await rig.source.reopen_task(task_id))
    assert (task.done, task.completed_at) == (False, None)
    assert len(rig.system.record.writes) == 1


async def test_a_task_that_is_deleted_is_gone(rig: Rig) -> None:
    """Deleted twice, as after an answer that was lost, it is gone all the same."""
    if "delete_task" not in rig.source.writes:
        pytest.skip("the system's tasks cannot be deleted")
    (task_id,) = rig.make(1)
    for _ in range(2):
        assert rig.source.identify(await rig.source.delete_task(task_id)) == task_id
    assert await rig.source.fetch(task_id) is None


async def test_a_write_whose_answer_shows_no_task_is_unknown(rig: Rig) -> None:
    """The system said yes to something; making it again could make it twice."""
    if "create_task" not in rig.source.writes:
        pytest.skip("the system takes no tasks")
    rig.system.faults.set(Fault(FaultKind.EMPTY))
    with pytest.raises(OutcomeUnknown):
        await rig.source.create_task({"title": "Send the invoice"})


async def test_a_write_to_a_task_that_is_gone_is_rejected(rig: Rig) -> None:
    """Nothing to complete: final, not to be tried again."""
    if "complete_task" not in rig.source.writes:
        pytest.skip("the system's tasks cannot be completed")
    with pytest.raises(SourceRejected):
        await rig.source.complete_task("4711")
