"""Static check for fields that no task of an account has."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.diagnostics import Issue, Path, Severity, did_you_mean
from service.domain.model import Cause, Kind, Task
from service.rules.capabilities import Capabilities
from service.rules.compiler.shapes import PRIORITIES
from service.rules.language.partial_evaluation import (
    EMPTY,
    UNKNOWN,
    Field,
    PartialEvaluator,
    StaticCause,
    StaticCondition,
)
from service.rules.language.syntax_tree import dotted, node_kind, walk
from service.rules.language.template_reads import TextRead
from service.rules.language.vocabulary import field_holds, names
from service.rules.triggers import Trigger
from service.sources.facts import Facts, Words

# What Taskbell itself knows of every task.
_OWN = frozenset({"id", "account", "system", "acknowledged", "acknowledged_by"})
_TASKS = ("task", "before")
_ONE_OF = {"assignees": "assignee", "contacts": "customer"}
_IDENTITY = re.compile(r"\.(account|system)$")
_WORDS: Mapping[str, Words] = {
    "task.priority": Words(frozenset(PRIORITIES)),
    "before.priority": Words(frozenset(PRIORITIES)),
    "event.kind": Words(frozenset(Kind)),
    "event.cause": Words(frozenset(Cause)),
}
_PEOPLE = {"assignee", "assignees"}


@dataclass(frozen=True, slots=True)
class MissingFields:
    """The fields that are always empty in the `accounts` of a rule."""

    reach: Capabilities
    accounts: tuple[str, ...]

    @property
    def is_known(self) -> bool:
        """Whether this can be determined: not if the accounts could not be read."""
        return "accounts" not in self.reach.unread

    def without(self, accounts: Iterable[str]) -> "MissingFields":
        """These facts without the given accounts."""
        left = tuple(one for one in self.accounts if one not in frozenset(accounts))
        return replace(self, accounts=left)

    def empty(self, name: str) -> list[str]:
        """The accounts that never fill a field; `name` is written as `task.assignee.email`."""
        leaf = _leaf(name) if self.is_known else None
        return [] if leaf is None else [one for one in self.accounts if self._lacks(one, leaf)]

    def always(self, leaf: str) -> bool:
        """Whether a done task has this field in all accounts, as far as is known."""
        covers = [self.facts(one) for one in self.accounts]
        return not self.is_known or all(one and leaf in one.when_done for one in covers)

    def field(self, account: str) -> Field:
        """What is known statically of the fields of the account's tasks."""
        return lambda name: self._told(account, name)

    def remedy(self, accounts: Sequence[str], name: str) -> str | None:
        """A suggestion for a field that is empty in these accounts, or lacks a word."""
        leaf = _leaf(name) or name
        covers = (self.facts(one) for one in accounts)
        found = next((one.remedies[leaf] for one in covers if one and leaf in one.remedies), None)
        others = [one for one in self.accounts if one not in accounts]
        if found is None and others:
            return f"limit the rule to some accounts: accounts: [{', '.join(others)}]"
        return found or "fields of each system: docs/rules.md#what-each-system-tells"

    def shown(self, accounts: Sequence[str]) -> str:
        """The accounts with their systems: `field (kickserv) and london (plannr)`."""
        systems = ((one, self.reach.accounts.get(one)) for one in accounts)
        named = [one if of is None else f"{one} ({of.system})" for one, of in systems]
        return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)

    def said(self, never: str, why: str, accounts: Sequence[str]) -> str:
        """The text of a warning: what never happens, why, and in which accounts."""
        if len(accounts) == len(self.accounts):
            return f"{never}: {why} in {self.shown(accounts)}"
        return f"{never} in {self.shown(accounts)}: {why} there"

    def words(self, name: str) -> frozenset[str]:
        """The words that a field can have in any of the accounts."""
        told = (self._told(one, name) for one in self.accounts)
        return frozenset[str]().union(*(one.known for one in told if isinstance(one, Words)))

    def _told(self, account: str, name: str) -> Any:
        abilities = self.reach.accounts.get(account)
        if name in {"task.account", "event.account", "before.account"}:
            return account
        if name in {"task.system", "before.system"} and abilities is not None:
            return abilities.system
        leaf = _leaf(name)
        if leaf is not None and self._lacks(account, leaf):
            return _nothing(leaf)
        words = None if abilities is None or abilities.facts is None else abilities.facts.words
        return (words or {}).get(leaf or "") or _WORDS.get(name, UNKNOWN)

    def facts(self, account: str) -> Facts | None:
        """The fields that the account's system fills and requires; None if that is not known."""
        abilities = self.reach.accounts.get(account)
        return None if abilities is None else abilities.facts

    def _lacks(self, account: str, leaf: str) -> bool:
        covers = self.facts(account)
        if covers is None or leaf in covers.fills or leaf.partition(".")[0] in _OWN:
            return False
        # A boolean may be computed by Taskbell itself, if no system provides it.
        return leaf in self.reach.told or leaf in covers.remedies or not _is_truth(leaf)


def guarantees(trigger: Trigger, gaps: MissingFields) -> frozenset[str]:
    """The names that surely exist when the trigger fires, in every account.

    That a task was completed does not say when: some systems leave that out.
    """
    if trigger.kinds == {Kind.COMPLETED} and not gaps.always("completed_at"):
        return trigger.guarantees - {"task.completed_at"}
    return trigger.guarantees


def never_triggered(
    gaps: MissingFields, trigger: Trigger, path: Path
) -> tuple[MissingFields, list[Issue]]:
    """The accounts on which a trigger can fire, and a warning about the others."""
    alarm = trigger.alarm
    fields = {alarm.field.partition(".")[0]} if alarm is not None else set(trigger.fields)
    fields = fields or (_PEOPLE if trigger.kinds == {Kind.REASSIGNED} else set())
    several = [set(gaps.empty(f"task.{name}")) for name in sorted(fields)]
    dead = [one for one in gaps.accounts if all(one in lacking for lacking in several)]
    if not (fields and dead):
        return gaps, []
    name = f"task.{min(fields)}"
    message = gaps.said("this never happens", f"{name} is always empty", dead)
    return gaps.without(dead), [_warning((*path, "when"), message, gaps.remedy(dead, name))]


def impossible(
    gaps: MissingFields, conditions: Sequence[StaticCondition]
) -> tuple[MissingFields, list[Issue]]:
    """The accounts in which the conditions can all be true, and warnings about the others.

    Accounts that a condition excludes by their name or system are excluded on purpose: no warning.
    """
    if not gaps.is_known:
        return gaps, []
    meant = [one for one in gaps.accounts if not _is_left_out(gaps, one, conditions)]
    gaps, problems = replace(gaps, accounts=tuple(meant)), list[Issue]()
    dead: set[str] = set()
    for asked in conditions:
        found = {one: _reason(gaps, one, asked) for one in gaps.accounts if one not in dead}
        causes = {_key(one): one for one in found.values() if one is not None}
        for key, cause in causes.items():
            where = [one for one, other in found.items() if other and _key(other) == key]
            problems.append(_never(gaps, where, cause, asked))
            dead.update(where)
        if not dead:
            problems += _strange_words(gaps, asked)
    return gaps.without(dead), problems


def never_true(gaps: MissingFields, asked: StaticCondition, never: str) -> Iterator[Issue]:
    """A warning, which begins with `never`, about a condition that some accounts never fulfil."""
    found = {one: _reason(gaps, one, asked) for one in gaps.accounts if gaps.is_known}
    if lacking := [one for one, cause in found.items() if cause is not None]:
        cause = next(one for one in found.values() if one is not None)
        yield _never(gaps, lacking, cause, asked, never)


def check_once_per(
    gaps: MissingFields, keys: Sequence[StaticCondition], never: str
) -> Iterator[Issue]:
    """A warning if all fields that `once_per` reads are empty in some accounts."""
    several = [_missing_keys(gaps, one) for one in keys]
    lacking = [one for one in gaps.accounts if several and all(one in of for _, of in several)]
    if lacking:
        name = several[0][0]
        message = gaps.said(never, f"{name} is always empty", lacking)
        yield _warning(keys[0].path, message, gaps.remedy(lacking, name), 0)


def _missing_keys(gaps: MissingFields, key: StaticCondition) -> tuple[str, list[str]]:
    """A field that a key reads, and the accounts in which all fields that it reads are empty."""
    names = [name for name in map(dotted, walk(key.node)) if name and _leaf(name)]
    whole = [one for one in names if not any(other.startswith(f"{one}.") for other in names)]
    several = [gaps.empty(one) for one in whole]
    lacking = [one for one in gaps.accounts if several and all(one in of for of in several)]
    return (whole[0] if whole else ""), lacking


def in_text(gaps: MissingFields, reads: Iterable[TextRead], path: Path) -> Iterator[Issue]:
    """Warnings about always-empty fields that a text reads, and about words that do not exist."""
    reads = tuple(reads)
    asked = {one.name for one in reads if one.is_asked}
    told: set[str] = set()
    for one in reads:
        for word in one.words:
            yield from _strange_word(gaps, one.name, word, path, one.offset)
        around = {one.name, one.name.rpartition(".")[0]}
        if one.name in told or not asked.isdisjoint(around):
            continue
        if lacking := gaps.empty(one.name):
            told.add(one.name)
            message = gaps.said("this shows nothing", f"{one.text} is always empty", lacking)
            yield _warning(path, message, gaps.remedy(lacking, one.name), one.offset)


def in_target(gaps: MissingFields, reads: Sequence[TextRead], path: Path) -> Iterator[Issue]:
    """A warning about a target that is empty in some accounts."""
    if not reads or any(one.is_asked for one in reads):
        return
    several = [gaps.empty(one.name) for one in reads]
    lacking = [one for one in gaps.accounts if all(one in empty for empty in several)]
    if lacking:
        first = reads[0]
        message = gaps.said("no one receives this", f"{first.text} is always empty", lacking)
        yield _warning(path, message, gaps.remedy(lacking, first.name), first.offset)


def never_attached(gaps: MissingFields, what: str, path: Path) -> Iterator[Issue]:
    """A warning about a visit in accounts whose tasks have no start."""
    if lacking := gaps.empty("task.start"):
        message = gaps.said(f"no {what} is attached", "task.start is always empty", lacking)
        yield _warning(path, message, gaps.remedy(lacking, "task.start"))


def _is_left_out(gaps: MissingFields, account: str, conditions: Iterable[StaticCondition]) -> bool:
    """Whether a condition excludes the account, whatever its tasks are like."""

    def identity(asked: StaticCondition) -> Field:
        told = _told(gaps, account, asked)
        return lambda name: told(name) if _IDENTITY.search(name) else UNKNOWN

    return any(PartialEvaluator(identity(asked)).of(asked.node) is False for asked in conditions)


def _told(gaps: MissingFields, account: str, asked: StaticCondition) -> Field:
    told = gaps.field(account)
    return lambda name: told(asked.plain(name))


def _reason(gaps: MissingFields, account: str, asked: StaticCondition) -> StaticCause | None:
    """Why a condition is never true in this account; None if it may be."""
    for part in _conjuncts(asked.node):
        foresight = PartialEvaluator(_told(gaps, account, asked))
        if foresight.of(part) is False and foresight.causes:
            return foresight.causes[0]
    return None


def _strange_words(gaps: MissingFields, asked: StaticCondition) -> Iterator[Issue]:
    """Warnings about words that no account has, in conditions that may be true all the same."""
    found: dict[tuple[str, str | None], StaticCause] = {}
    for account in gaps.accounts:
        foresight = PartialEvaluator(_told(gaps, account, asked))
        foresight.of(asked.node)
        found |= {_key(one): one for one in foresight.causes if one.word is not None}
    for cause in found.values():
        offset, name = asked.tree.offset(cause.node), asked.plain(cause.name)
        yield from _strange_word(gaps, name, str(cause.word), asked.path, offset)


def _strange_word(
    gaps: MissingFields, name: str, word: str, path: Path, offset: int
) -> Iterator[Issue]:
    told = [gaps.field(one)(name) for one in gaps.accounts]
    if told and all(isinstance(one, Words) and not one.has(word) for one in told):
        yield _warning(path, f'{name} is never "{word}"', _other_word(gaps, name, word), offset)


def _other_word(gaps: MissingFields, name: str, word: str) -> str | None:
    known = gaps.words(name)
    return did_you_mean(word, known) if known else gaps.remedy(gaps.accounts, name)


def _never(
    gaps: MissingFields,
    accounts: list[str],
    cause: StaticCause,
    asked: StaticCondition,
    never: str = "the rule never matches",
) -> Issue:
    offset, name = asked.tree.offset(cause.node), asked.plain(cause.name)
    if cause.word is None:
        why, hint = f"{cause.name} is always empty", gaps.remedy(accounts, name)
    else:
        why = f'{cause.name} is never "{cause.word}"'
        hint = _other_word(replace(gaps, accounts=tuple(accounts)), name, cause.word)
    return _warning(asked.path, gaps.said(never, why, accounts), hint, offset)


def _conjuncts(node: Any) -> Iterator[Any]:
    if node_kind(node) == "call" and node.call.function == "_&&_":
        for one in node.call.args:
            yield from _conjuncts(one)
    else:
        yield node


def _key(cause: StaticCause) -> tuple[str, str | None]:
    return cause.name, cause.word


def _leaf(name: str) -> str | None:
    """The field of a task that a name reads, as `Facts` names it; None for anything else."""
    noun, _, rest = name.partition(".")
    head, _, inner = rest.partition(".")
    if noun not in _TASKS or head not in names(Task):
        return None
    inner = inner.partition(".")[0]
    around = _ONE_OF.get(head, head) if inner else head
    return f"{around}.{inner}" if inner and field_holds(Task, around, inner) else head


def _is_truth(leaf: str) -> bool:
    head, _, inner = leaf.partition(".")
    return field_holds(Task, head, inner) is bool


def _nothing(leaf: str) -> Any:
    """How an expression sees a field that is always empty."""
    head, _, inner = leaf.partition(".")
    kind = field_holds(Task, head, inner)
    return {bool: False, str: ""}.get(kind, EMPTY) if isinstance(kind, type) else EMPTY


def _warning(path: Path, message: str, hint: str | None, offset: int | None = None) -> Issue:
    return Issue(path, message, hint, offset, severity=Severity.WARNING)
