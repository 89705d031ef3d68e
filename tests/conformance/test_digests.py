"""Digests: a rule with `group` gathers tasks under a key, for one message."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.domain.digests import Digest, Join, Joining, Member
from service.domain.model import Cause, Event, Kind
from service.store.tasks import TaskState, TaskUpdate
from tests.conformance.storages import LONDON, PARIS, Storage, key_of
from tests.harness.tasks import START, task

MINUTE = timedelta(minutes=1)


def after(minutes: int) -> datetime:
    return START + minutes * MINUTE


def join(
    event: Event,
    *,
    rule: str = "r",
    key: str = "",
    wait: int = 10,
    most: int = 100,
    account: str = "",
) -> Join:
    """It joins the digest of its own account, or of `account`."""
    joining = Joining(key, wait * MINUTE, most, event.at)
    return Join(rule, account or event.account, event, joining)


async def told(storage: Storage, minutes: int, *accounts: str) -> list[Digest]:
    """The digests that are to be told then."""
    return await storage.tx.digests.take(accounts or [LONDON, PARIS], after(minutes), 100)


def tasks_of(digests: Sequence[Digest]) -> list[list[str]]:
    return [[one.task_id for one in digest.members] for digest in digests]


async def test_a_digest_is_told_when_its_time_is_over(storage: Storage) -> None:
    """With whatever opened it, and the tasks as they are now."""
    await storage.know(task("T1", title="as it is now"), task("T2"))
    opened = await storage.happen(Kind.OVERDUE, cause=Cause.CLOCK)
    joined = await storage.happen(Kind.CHANGED, "T2", at=after(5))
    await storage.tx.digests.join([join(opened, key="Smith")], START)
    await storage.tx.digests.join([join(joined, key="Smith")], after(5))
    assert await told(storage, 9) == []
    members = (
        Member(LONDON, "T1", START, task("T1", title="as it is now")),
        Member(LONDON, "T2", after(5), task("T2")),
    )
    assert await told(storage, 10) == [
        Digest("r", LONDON, "Smith", opened.id, Kind.OVERDUE, Cause.CLOCK, after(10), members)
    ]


async def test_a_digest_is_told_once(storage: Storage) -> None:
    """What happens later opens another one."""
    await storage.tx.digests.join([join(await storage.happen(Kind.CHANGED))], START)
    assert tasks_of(await told(storage, 10)) == [["T1"]]
    assert await told(storage, 10) == []
    await storage.tx.digests.join([join(await storage.happen(Kind.CHANGED, "T2"))], after(10))
    assert await told(storage, 19) == []
    assert tasks_of(await told(storage, 20)) == [["T2"]]


async def test_a_task_that_is_gone_is_a_member_without_one(storage: Storage) -> None:
    """Or one that never was known."""
    await storage.know(task())
    await storage.tx.digests.join(
        [join(await storage.happen(Kind.CHANGED, name)) for name in ("T1", "T2")], START
    )
    gone = TaskState(task(), deleted_at=START, observed_at=START)
    await storage.tx.tasks.save([TaskUpdate(key_of(task()), gone)])
    [digest] = await told(storage, 10)
    assert digest.members == (Member(LONDON, "T1", START, None), Member(LONDON, "T2", START, None))


async def test_a_task_that_joins_again_counts_once(storage: Storage) -> None:
    """With its later event: so it stands behind what has joined before that, and has its date."""
    for name, minute in [("T1", 0), ("T2", 1), ("T1", 2)]:
        event = await storage.happen(Kind.CHANGED, name, at=after(minute))
        await storage.tx.digests.join([join(event, most=3)], after(minute))
    [digest] = await told(storage, 10)
    assert digest.members == (
        Member(LONDON, "T2", after(1), None),
        Member(LONDON, "T1", after(2), None),
    )


async def test_rules_accounts_and_keys_have_digests_of_their_own(storage: Storage) -> None:
    """Those that are over at one moment are told in the order of these."""
    here = await storage.happen(Kind.CHANGED)
    there = await storage.happen(Kind.CHANGED, account=PARIS)
    joins = [join(there), join(here, key="b"), join(here, key="a"), join(here, rule="a")]
    await storage.tx.digests.join(joins, START)
    found = [(one.rule, one.account, one.key) for one in await told(storage, 10)]
    assert found == [("a", LONDON, ""), ("r", LONDON, "a"), ("r", LONDON, "b"), ("r", PARIS, "")]


async def test_the_digest_that_was_over_first_is_told_first(storage: Storage) -> None:
    """Whichever was opened first."""
    long, short = await storage.happen(Kind.CHANGED), await storage.happen(Kind.CHANGED, "T2")
    await storage.tx.digests.join([join(long, key="a", wait=20)], START)
    await storage.tx.digests.join([join(short, key="b", wait=10)], START)
    assert tasks_of(await told(storage, 20)) == [["T2"], ["T1"]]


async def test_a_full_digest_is_told_at_once(storage: Storage) -> None:
    """The next event opens another one, which waits."""
    for minute, name in enumerate(["T1", "T2", "T3"]):
        event = await storage.happen(Kind.CHANGED, name)
        await storage.tx.digests.join([join(event, most=2)], after(minute))
    [full] = await told(storage, 2)
    assert (tasks_of([full]), full.closes_at) == ([["T1", "T2"]], after(1))
    [rest] = await told(storage, 12)
    assert (tasks_of([rest]), rest.closes_at) == ([["T3"]], after(12))


async def test_many_at_once_fill_several_digests(storage: Storage) -> None:
    """In the order in which they join."""
    events = [await storage.happen(Kind.CHANGED, f"T{number}") for number in range(5)]
    await storage.tx.digests.join([join(one, most=2) for one in events], START)
    assert tasks_of(await told(storage, 0)) == [["T0", "T1"], ["T2", "T3"]]
    assert tasks_of(await told(storage, 10)) == [["T4"]]


async def test_digests_are_told_in_the_accounts_that_are_asked_for(storage: Storage) -> None:
    """Of another one the clock may have nothing to say."""
    for account in (LONDON, PARIS):
        event = await storage.happen(Kind.CHANGED, account=account)
        await storage.tx.digests.join([join(event)], START)
    assert [one.account for one in await told(storage, 10, PARIS)] == [PARIS]
    assert [one.account for one in await told(storage, 10, LONDON)] == [LONDON]


async def test_a_digest_of_several_accounts(storage: Storage) -> None:
    """With tasks of each, also if they have the same id, and as they are now."""
    await storage.know(task("T1", title="here"), task("T1", PARIS, title="there"))
    there = await storage.happen(Kind.CHANGED, account=PARIS)
    here = await storage.happen(Kind.CHANGED, at=after(1))
    again = await storage.happen(Kind.CHANGED, account=PARIS, at=after(2))
    for event in (there, here, again):
        await storage.tx.digests.join([join(event, account=LONDON)], event.at)
    [digest] = await told(storage, 10)
    assert (digest.account, digest.event) == (LONDON, there.id)
    assert digest.members == (
        Member(LONDON, "T1", after(1), task("T1", title="here")),
        Member(PARIS, "T1", after(2), task("T1", PARIS, title="there")),
    )


async def test_a_digest_of_several_accounts_is_full_with_the_tasks_of_all(storage: Storage) -> None:
    """The next one opens another."""
    for minute, (name, account) in enumerate([("T1", PARIS), ("T1", LONDON), ("T2", PARIS)]):
        event = await storage.happen(Kind.CHANGED, name, account=account)
        await storage.tx.digests.join([join(event, most=2, account=LONDON)], after(minute))
    found = [
        [(one.account, one.task_id) for one in each.members] for each in await told(storage, 12)
    ]
    assert found == [[(PARIS, "T1"), (LONDON, "T1")], [(PARIS, "T2")]]


async def test_a_rule_for_several_accounts_has_a_time_of_its_own(storage: Storage) -> None:
    """Until then its digests may be told, in whatever account; those of other rules are not."""
    for rule in ("r", "s"):
        event = await storage.happen(Kind.CHANGED)
        await storage.tx.digests.join([join(event, rule=rule)], START)
    take = storage.tx.digests.take
    assert await take([], after(15), 100, {"r": after(9)}) == []
    assert [one.rule for one in await take([], after(15), 100, {"r": after(10)})] == ["r"]
    assert [one.rule for one in await take([LONDON], after(15), 100, {"r": START})] == ["s"]
