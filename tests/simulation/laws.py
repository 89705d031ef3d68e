"""The laws, as functions that say how a history has broken them.

Each takes what has happened and yields what is wrong with it. `docs/laws.md` has the laws by their
numbers, /docs/architecture.md what these do not see.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any, TypeAlias

import orjson

from service.config import Config
from service.domain.model import Cause
from service.sandbox.system import Raw
from service.sources.kickserv.reader import KickservReader
from tests.simulation.day import Past
from tests.simulation.firm import ACCOUNT, BEGIN
from tests.simulation.plan import TASKS, Step, is_calm, is_clear
from tests.simulation.task_system import Notification

Seen: TypeAlias = dict[str, Any] | None

# What says nothing about the task itself, so that no event is made of it.
_UNTOLD = ("created_at", "updated_at", "completed_at", "revision")
_TURNS = {"created", "restored", "completed", "reopened", "deleted"}
_PENDING = {"planned", "held", "sending"}
_LISTENING = {"completed": {"done", "thanks"}, "rescheduled": {"moved"}, "created": {"new"}}
_AT_ONCE = {"done", "moved"}  # rules whose messages are due as soon as they are planned
_TO_CUSTOMERS = {"new": "details", "soon": "on_the_way"}
# From the check of a task until its message has arrived, if no process stands still.
_LONGEST_SEND = timedelta(seconds=30)
_SOON = timedelta(minutes=30)
_LEEWAY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Truth:
    """What a task was from then on (UTC)."""

    seen: Seen
    since: datetime


class Judged:
    """A history, prepared for judgement."""

    def __init__(self, past: Past, config: Config, steps: Sequence[Step]) -> None:
        self.past = past
        self.is_calm, self.is_clear = is_calm(steps), is_clear(steps)
        self._reader = KickservReader(config.accounts[ACCOUNT])

    @property
    def deliveries(self) -> list[Any]:
        return self.past.rows["deliveries"]

    @cached_property
    def events(self) -> dict[str, list[Any]]:
        """The events of each task that come from the system, in order."""
        found = defaultdict(list)
        for row in self.past.rows["events"]:
            if row["cause"] != "clock":
                found[row["task"]].append(row)
        return found

    @cached_property
    def got(self) -> dict[str, int]:
        """How often each message has arrived, by its key."""
        return Counter(one.key for receiver in self.past.receivers.values() for one in receiver.got)

    @cached_property
    def truths(self) -> dict[str, list[Truth]]:
        """What each task was, in order, without repetitions."""
        return {
            task_id: [
                Truth(seen, next(iter(same))[0])
                for seen, same in groupby(truth, key=lambda one: self.seen(one[1]))
            ]
            for task_id, truth in self.past.system.truths.items()
        }

    def seen(self, raw: Raw | None) -> Seen:
        """What events tell of a task that its system shows so."""
        if raw is None:
            return None
        look = self._reader.observe(self._reader.trim(raw), BEGIN, Cause.POLL)
        return told(orjson.loads(look.task.to_json() if look.task else "null"))


def told(task: Any) -> Seen:
    if task is None:
        return None
    return {name: value for name, value in task.items() if name not in _UNTOLD}


def law_1_what_was_acknowledged_is_kept_and_worked_off(judged: Judged) -> Iterator[str]:
    """Each receipt that was acknowledged is there, and was read, or set aside with a reason."""
    states = {row["receipt"]: row for row in judged.past.rows["receipts"]}
    for receipt in judged.past.acknowledged:
        row = states.get(receipt)
        if row is None:
            yield f"receipt {receipt} was acknowledged, and is not there"
        elif row["state"] != "done":
            yield f"receipt {receipt} is {row['state']} in the end: {row['reason']}"


def law_2_an_event_has_all_its_effects(judged: Judged) -> Iterator[str]:
    """Each event that a rule listens to has this rule's decision, and no other event has it."""
    decided = Counter((row["event"], row["rule"]) for row in judged.past.rows["decisions"])
    for events in judged.events.values():
        for event in events:
            for rule in _LISTENING.get(event["kind"], set()):
                if event["cause"] != "write" and decided[event["id"], rule] != 1:
                    yield f"event {event['id']} ({event['kind']}) has no decision of {rule}"
    planned = {(row["event"], row["rule"]) for row in judged.deliveries if row["updates"] is None}
    for event, rule in decided:
        if rule in _AT_ONCE and (event, rule) not in planned:
            yield f"{rule} has decided on event {event}, and planned nothing"


def law_4_what_is_known_is_what_is(judged: Judged) -> Iterator[str]:
    """In the end each task is known as its system shows it."""
    known = {
        row["id"]: None if row["deleted_at"] else told(orjson.loads(row["snapshot"] or "null"))
        for row in judged.past.rows["tasks"]
    }
    for task_id, truth in judged.truths.items():
        if known.get(task_id) != truth[-1].seen:
            yield f"task {task_id} is {truth[-1].seen}, and is known as {known.get(task_id)}"


def law_4_each_change_is_told_once_and_in_order(judged: Judged) -> Iterator[str]:
    """Each task's events follow one from the other, and each was so, in this order."""
    for task_id, events in judged.events.items():
        looks = [
            Look(told(orjson.loads(before or "null")), told(orjson.loads(after or "null")), at)
            for (at, before, after), _ in groupby(
                events, key=lambda row: (row["at"], row["before"], row["after"])
            )
        ]
        if [one.before for one in looks][1:] != [one.after for one in looks][:-1]:
            yield f"task {task_id}: its events do not follow one from the other"
        kinds = [row["kind"] for row in events if row["kind"] in _TURNS]
        wanted = [kind for one in looks for kind in _turned(one.before, one.after)]
        if kinds != wanted:
            yield f"task {task_id}: its events are {kinds}, and should be {wanted}"
        if not _were_so(looks, judged.truths.get(task_id, []), judged.past.most_ahead):
            yield f"task {task_id}: its events tell what was not so, or in another order"


@dataclass(frozen=True, slots=True)
class Look:
    """What an event tells of a task, and when Taskbell asked for it (UTC)."""

    before: Seen
    after: Seen
    at: datetime


def _were_so(looks: list[Look], truth: list[Truth], leeway: timedelta) -> bool:
    """Whether each look was true, and each later than the one before.

    An earlier truth may be told once more if it was still true after the look before was asked for:
    then the two questions have crossed, and nobody can know which was answered first.
    """
    place, asked_at = 0, None
    ends = [one.since for one in truth[1:]] + [None]
    for look in looks:
        places = [number for number, one in enumerate(truth) if one.seen == look.after]
        later = [number for number in places if number >= place]
        crossed = [
            number
            for number in places
            if asked_at is not None and (end := ends[number]) and end >= asked_at - leeway
        ]
        if not later and not crossed:
            return False
        place, asked_at = (later or crossed)[0], look.at
    return True


def _turned(before: Seen, after: Seen) -> list[str]:
    """What has to be told of two looks at a task: whether it is there, and done."""
    if after is None:
        return ["deleted"]
    appeared = [] if before else ["created"]
    was_done = bool(before and before["done"])
    if after["done"] and not was_done:
        return [*appeared, "completed"]
    return ["reopened"] if was_done and not after["done"] else appeared


def law_7_what_is_news_is_told(judged: Judged) -> Iterator[str]:
    """A task that is new, or is not as it was at the baseline, has an event about that."""
    for number, (task_id, truth) in enumerate(judged.truths.items()):
        was = truth[0].seen if number < TASKS else None
        if truth[-1].seen != was and not judged.events.get(task_id):
            yield f"task {task_id} has changed, and no event says so"


def law_8_customers_are_told_at_most_once(judged: Judged) -> Iterator[str]:
    """No customer got more messages than were sent, or perhaps sent; none that is not unknown."""
    carried_out = Counter((one.task, one.kind) for one in judged.past.system.notifications)
    sent, perhaps = Counter[Any](), Counter[Any]()
    for row in judged.deliveries:
        if row["rule"] in _TO_CUSTOMERS and row["channel"] == "customer":
            key = row["task"], row["target"]
            sent[key] += row["state"] == "sent"
            perhaps[key] += row["state"] in {"sent", "unknown"}
    for key, count in carried_out.items():
        if count > perhaps[key]:
            yield f"{key} was told {count} times, for {perhaps[key]} messages"
    for key, count in sent.items():
        if count > carried_out[key]:
            yield f"{key} counts as told {count} times, and was {carried_out[key]} times"
    for row in judged.deliveries:
        if row["at_most_once"] and judged.got.get(str(row["key"]), 0) > 1:
            yield f"delivery {row['id']} ({row['rule']}) has arrived twice"


def law_8_one_visit_is_announced_once(judged: Judged) -> Iterator[str]:
    """Of one visit there is one `on_the_way`."""
    visits = Counter(
        (one.task, one.then["scheduled_at"])
        for one in judged.past.system.notifications
        if one.kind == "on_the_way"
    )
    for visit, count in visits.items():
        if count > 1:
            yield f"{visit} was announced {count} times"


def law_8_customers_are_told_what_was_so_just_before(judged: Judged) -> Iterator[str]:
    """Just before each message the system was asked, and confirmed what that says."""
    longest = _LONGEST_SEND + judged.past.longest_freeze
    for one in judged.past.system.notifications:
        asked = [(at, raw) for at, raw in one.reads if one.at - at <= longest]
        objections = [_objection(judged, one, raw) for _, raw in asked]
        if None not in objections:
            said = " or ".join(filter(None, objections)) or "nobody had asked before"
            yield f"{one.task} was told {one.kind}, and {said}"


def _objection(judged: Judged, one: Notification, raw: Raw | None) -> str | None:
    """Why a customer is not to be told this of a task that its system shows so."""
    ahead, seen = judged.past.most_ahead + _LEEWAY, judged.seen(raw)
    if raw is None or seen is None:
        return "was gone"
    if seen["done"]:
        return "was done"
    begins_in = one.begins_in(raw)
    if one.kind == "on_the_way" and not -ahead <= begins_in <= _SOON + ahead:
        return f"would begin {begins_in} later"
    return None


def law_9_what_was_sent_has_arrived(judged: Judged) -> Iterator[str]:
    """Each message that counts as sent has arrived, and each that never was sent has not."""
    for row in judged.deliveries:
        if row["channel"] not in judged.past.receivers:
            continue
        count = judged.got.get(str(row["key"]), 0)
        if row["state"] == "sent" and not count:
            yield f"delivery {row['id']} ({row['rule']}) counts as sent, and has not arrived"
        if row["state"] in {"skipped", "cancelled", "expired"} and count and not row["attempts"]:
            yield f"delivery {row['id']} ({row['rule']}) has arrived, and is {row['state']}"


def law_9_the_key_stays(judged: Judged) -> Iterator[str]:
    """Whatever has arrived has the key of a delivery, in all its attempts."""
    keys = {str(row["key"]) for row in judged.deliveries}
    for receiver in judged.past.receivers.values():
        for one in receiver.got:
            if one.key not in keys:
                yield f"{receiver.name} got a message with a key that no delivery has: {one.text}"


def law_9_a_task_is_created_once(judged: Judged) -> Iterator[str]:
    """For each delivery that creates a task there is one, however often that was tried."""
    wanted = Counter(row["task"] for row in judged.deliveries if row["rule"] == "again")
    sent = [row for row in judged.deliveries if row["rule"] == "again" and row["state"] == "sent"]
    created = judged.past.system.created
    if not len(sent) <= len(created) <= wanted.total():
        yield f"{len(created)} tasks were created for {wanted.total()} ({len(sent)} sent)"


def law_12_own_writes_set_off_nothing(judged: Judged) -> Iterator[str]:
    """No rule reacts to what Taskbell itself has created."""
    own = {str(one["id"]) for one in judged.past.system.created}
    for row in judged.deliveries:
        if row["task"] in own and row["rule"] == "new":
            yield f"delivery {row['id']} reacts to a task that Taskbell has created"


def law_13_every_delivery_ends_with_a_reason(judged: Judged) -> Iterator[str]:
    """Nothing waits for ever, and what was not sent says why."""
    for row in judged.deliveries:
        if row["state"] in _PENDING:
            yield f"delivery {row['id']} ({row['rule']}) still is {row['state']}: {row['reason']}"
        elif row["state"] != "sent" and not row["reason"]:
            yield f"delivery {row['id']} ({row['rule']}) is {row['state']}, and nobody knows why"


def law_9_what_is_known_to_have_arrived_is_not_sent_again(judged: Judged) -> Iterator[str]:
    """If each outcome is clear, nothing arrives twice, is given up, or remains unknown."""
    if not judged.is_clear:
        return
    for row in judged.deliveries:
        count = judged.got.get(str(row["key"]), 0)
        if row["channel"] in judged.past.receivers and row["state"] == "sent" and count != 1:
            yield f"delivery {row['id']} ({row['rule']}) has arrived {count} times"
        was_gone = any(one.seen is None for one in judged.truths.get(row["task"], ()))
        if row["state"] == "unknown" or (row["state"] == "failed" and not was_gone):
            yield f"delivery {row['id']} ({row['rule']}) is {row['state']}: {row['reason']}"


def law_11_an_alarm_rings_once(judged: Judged) -> Iterator[str]:
    """An alarm does not ring again while nothing else happens to its task."""
    last: dict[str, set[str]] = defaultdict(set)
    for row in judged.past.rows["events"]:
        if row["alarm"] is None:
            last[row["task"]].clear()
        elif row["alarm"] in last[row["task"]]:
            yield f"alarm {row['alarm']} of task {row['task']} has rung twice"
        else:
            last[row["task"]].add(row["alarm"])


def without_trouble_messages_keep_their_order(judged: Judged) -> Iterator[str]:
    """A receiver with a pace hears of changes in the order in which they were planned."""
    if not judged.is_calm:
        return
    numbers = {str(row["key"]): row["id"] for row in judged.deliveries if row["rule"] in _AT_ONCE}
    got = judged.past.receivers["accounting"].got
    heard = [numbers[one.key] for one in got if one.key in numbers]
    if heard != sorted(heard):
        yield f"accounting heard of {heard}, in this order"


def nothing_crashes(judged: Judged) -> Iterator[str]:
    """No error reaches the edge of a process, where it would be logged as a defect."""
    yield from judged.past.crashes


LAWS: tuple[Callable[[Judged], Iterator[str]], ...] = (
    law_1_what_was_acknowledged_is_kept_and_worked_off,
    law_2_an_event_has_all_its_effects,
    law_4_what_is_known_is_what_is,
    law_4_each_change_is_told_once_and_in_order,
    law_7_what_is_news_is_told,
    law_8_customers_are_told_at_most_once,
    law_8_one_visit_is_announced_once,
    law_8_customers_are_told_what_was_so_just_before,
    law_9_what_was_sent_has_arrived,
    law_9_the_key_stays,
    law_9_a_task_is_created_once,
    law_9_what_is_known_to_have_arrived_is_not_sent_again,
    law_11_an_alarm_rings_once,
    law_12_own_writes_set_off_nothing,
    law_13_every_delivery_ends_with_a_reason,
    without_trouble_messages_keep_their_order,
    nothing_crashes,
)


def broken(judged: Judged) -> list[str]:
    """How the history has broken the laws, each with the law's name."""
    return [f"{law.__name__.replace('_', ' ')}: {says}" for law in LAWS for says in law(judged)]
