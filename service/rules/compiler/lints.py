"""Warnings about rules that are valid but probably not intended."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from heapq import merge
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from service.diagnostics import Issue, Path, Severity
from service.domain.model import Kind
from service.domain.opening_hours import Hours
from service.domain.task_dates import FIELDS
from service.rules.capabilities import Capabilities
from service.rules.compiler.contradictions import KNOWN_VALUES, Value, demands, never
from service.rules.groups import Grouping
from service.rules.language.expressions import syntax
from service.rules.language.field_reads import by_noun
from service.rules.language.syntax_tree import dotted, walk
from service.rules.planning import OVER_ACCOUNTS
from service.rules.rule import Rule
from service.rules.selection import Selection
from service.rules.steps import Action, Pause
from service.rules.triggers import Trigger

Placed: TypeAlias = tuple[Rule, Path]
_Numbered: TypeAlias = tuple[int, Rule]
_Message: TypeAlias = tuple[tuple[Trigger, Selection | None], str, str, str]

# Hours that do not open in this century are not waited for.
_DETAILS = "details"
# The changes after which a task may be as it was before, with the fields that they are about.
_CHANGES: Mapping[Kind, frozenset[str]] = {
    Kind.RESCHEDULED: frozenset({"due", "start", "end"}),
    Kind.REASSIGNED: frozenset({"assignee", "assignees"}),
    Kind.CHANGED: frozenset(),
    Kind.COMPLETED: frozenset(),
    Kind.REOPENED: frozenset(),
}
# What an account gives itself: others may have the same.
_IDS = frozenset({"id", "number"})
_OF_CUSTOMERS = frozenset({"task.customer.email", "task.customer.phone"})
_ACCOUNTS = frozenset({"task.account", "event.account"})
_CORRECTION = "docs/recipes.md#the-visit-was-moved"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def advice(
    rule: Rule, written: Mapping[str, Any], path: Path, reach: Capabilities
) -> Iterable[Issue]:
    """Warnings about one rule, by how it is written in the file."""
    yield from _about_customers(rule, written, path, reach)
    yield from _about_days(rule, path)
    yield from _idle(rule, written, path)
    if rule.together is not None and rule.grouping is not None:
        yield from _over_accounts(rule.grouping, (*path, "group", "by"))
    values = {**KNOWN_VALUES}
    if "accounts" not in reach.unread:
        values["task.account"] = frozenset(reach.accounts)
    if found := never(rule.conditions, rule.trigger, values):
        message = f"the rule never matches: {found.message}"
        place = (*path, "if", found.condition)
        yield Issue(place, message, found.hint, found.offset, severity=Severity.WARNING)


def never_open(hours: Iterable[Hours]) -> Iterator[Issue]:
    """Warnings about opening hours that never open."""
    for one in hours:
        if opens_never(one):
            message = f"{one.name} never opens, so messages that wait for it are never sent"
            yield _warning(("hours", one.name), message, None)


def opens_never(hours: Hours) -> bool:
    """Whether these hours do not open in this century."""
    return hours.next_open(_LONG_AGO, ZoneInfo("UTC")) is None


def duplicate_messages(rules: Sequence[Placed]) -> Iterator[Issue]:
    """Warnings about rules that send the same text to the same target for the same event."""
    known: dict[_Message, _Senders] = defaultdict(_Senders)
    for rule, path in rules:
        for step, message in _messages(rule):
            earlier = known[message]
            if other := earlier.twin(rule):
                place = (*path, *step.place, "notify")
                hint = "remove one of them, or make their conditions exclude each other"
                said = (
                    f'rule "{other.id}" sends the same message to the same recipient at the same'
                    " time"
                )
                yield _warning(place, said, hint)
            earlier.add(rule)


def unannounced_moves(rules: Sequence[Placed]) -> Iterator[Issue]:
    """Warnings about customers who are told about a visit, but not that it was moved."""
    correcting = [rule for rule, _ in rules if _corrects(rule)]
    for rule, path in rules:
        if _corrects(rule) or any(_covers(one, rule) for one in correcting):
            continue
        for step, at in _placed(rule, path):
            if step.reaches_customer and step.target and step.target.text == _DETAILS:
                said = "these customers are not told if the visit is rescheduled later"
                yield _warning((*at, "notify"), said, f"add a rule for that: {_CORRECTION}")
                break


def _over_accounts(grouping: Grouping, path: Path) -> Iterator[Issue]:
    """Warnings about a digest over several accounts for customers, or for an id.

    Customers do not get it, and each account gives ids itself.
    """
    tree = syntax(grouping.by.text)
    names = {name for node in walk(tree.root) if (name := dotted(node)) is not None}
    ids = sorted(name for name in names if name.rpartition(".")[2] in _IDS)
    if own := sorted(names & _OF_CUSTOMERS):
        said = f"with together, no message is sent to {own[0]}: {OVER_ACCOUNTS}"
        yield _warning(path, said, "remove together")
    elif ids and not names & _ACCOUNTS:
        said = f"{ids[0]} may be someone else's in another account, and together makes one message"
        hint = 'use an address or a name, or write: task.account + " " + …'
        yield _warning(path, said, hint)


def _corrects(rule: Rule) -> bool:
    """Whether a rule tells customers that the start of their visit was moved."""
    listens = Kind.RESCHEDULED in rule.trigger.kinds
    is_start = not rule.trigger.fields or "start" in rule.trigger.fields
    return listens and is_start and any(one.reaches_customer for one, _ in _placed(rule, ()))


def _covers(one: Rule, other: Rule) -> bool:
    """Whether a rule applies to all accounts that another one applies to."""
    if one.accounts is None or other.accounts is None:
        return one.accounts is None
    return other.accounts <= one.accounts


class _Senders:
    """Rules that send the same message, indexed by the first value that each requires of a name.

    Rules that require another value of that name are no duplicates: thousands often differ in that
    alone.
    """

    def __init__(self) -> None:
        self._count = 0
        self._by_name: dict[str, list[_Numbered]] = defaultdict(list)
        self._by_value: dict[tuple[str, Value], list[_Numbered]] = defaultdict(list)

    def add(self, rule: Rule) -> None:
        name, value = next(iter(demands(rule.conditions).items()), ("", ""))
        self._count += 1
        self._by_name[name].append((self._count, rule))
        self._by_value[name, value].append((self._count, rule))

    def twin(self, rule: Rule) -> Rule | None:
        """The first of them that may send the message for the same event as this one."""
        demanded = demands(rule.conditions)
        comparable = merge(
            *(
                self._by_value.get((name, demanded[name]), ()) if name in demanded else senders
                for name, senders in self._by_name.items()
            )
        )
        return next((one for _, one in comparable if _may_both(one, rule)), None)


def _about_customers(
    rule: Rule, written: Mapping[str, Any], path: Path, reach: Capabilities
) -> Iterator[Issue]:
    for step, at in _placed(rule, path):
        if not step.reaches_customer:
            continue
        place = (*at, "notify")
        if written.get("hours") is None and not reach.has_contact_hours:
            yield _warning(place, "customers may get this at night", "add hours: to this rule")
        if not written.get("once_per"):
            yield _warning(
                place, "customers may get this more than once", "add once_per: to this rule"
            )
        elif field := _is_once_per_value(rule):
            said = f"customers are not told when {field} changes back to a value they already know"
            yield _warning(place, said, "add event.at to once_per:")


def _is_once_per_value(rule: Rule) -> str | None:
    """The field that triggers the rule by its change, and alone tells its messages apart."""
    if not rule.trigger.kinds or not rule.trigger.kinds <= _CHANGES.keys():
        return None
    usual = frozenset[str]().union(*(_CHANGES[kind] for kind in rule.trigger.kinds))
    read = by_noun(one.reads for one in rule.planning.once_per)
    if read.keys() != {"task"} or any("now" in one.text for one in rule.planning.once_per):
        return None
    told = {name.partition(".")[0] for name in read["task"]} & (rule.trigger.fields or usual)
    return min((f"task.{name}" for name in told), default=None)


def _about_days(rule: Rule, path: Path) -> Iterator[Issue]:
    """An alarm that counts from the time of a custom date, which usually has no time."""
    alarm = rule.trigger.alarm
    if alarm is not None and alarm.field.startswith(FIELDS) and alarm.at is None:
        said = f"this works only if {alarm.field} includes a time; a date without a time is ignored"
        yield _warning((*path, "when"), said, 'add a time of day: at: "09:00"')


def _idle(rule: Rule, written: Mapping[str, Any], path: Path) -> Iterator[Issue]:
    """A wait without a step after it, unless that step could not be read."""
    steps, raws = rule.planning.steps, written.get("then")
    is_whole = isinstance(raws, list) and steps and steps[-1].number == len(raws)
    if is_whole and isinstance(steps[-1], Pause):
        place = (*path, *steps[-1].place)
        yield _warning(place, "nothing comes after this wait", "remove it, or add a step")


def _placed(rule: Rule, path: Path) -> Iterator[tuple[Action, Path]]:
    """The actions of a rule, including `on_fail`, with their places in the file."""
    for step in rule.planning.steps:
        if not isinstance(step, Action):
            continue
        place: Path = (*path, *step.place)
        yield step, place
        for position, instead in enumerate(step.on_fail):
            yield instead, (*place, "on_fail", position)


def _messages(rule: Rule) -> Iterator[tuple[Action, _Message]]:
    """The messages that a rule sends before its first pause."""
    for step in rule.planning.steps:
        if not isinstance(step, Action):
            return
        if not step.fields:
            target, text = (one.text if one else "" for one in (step.target, step.text))
            yield step, ((rule.trigger, rule.for_each), step.channel, target, text)


def _may_both(one: Rule, other: Rule) -> bool:
    """Whether one event can trigger both."""
    if one is other:
        return False
    if one.accounts and other.accounts and one.accounts.isdisjoint(other.accounts):
        return False
    return never((*one.conditions, *other.conditions), one.trigger) is None


def _warning(path: Path, message: str, hint: str | None) -> Issue:
    return Issue(path, message, hint, severity=Severity.WARNING)
