"""Reads a configuration: its parts, and all their problems."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import orjson

from service.channels import ChannelOptions, kinds
from service.config.capabilities import reach
from service.config.contacts import read_contacts
from service.config.named_lists import read_lists
from service.config.operator import Operator, read_operator
from service.config.people import given_by, read_people
from service.config.root_shape import RootShape
from service.config.rule_tests import RuleTest
from service.config.rule_tests.reader import RuleTestReader
from service.config.sections import account_names, channel_names, read_named
from service.config.users import User, read_users
from service.diagnostics import Diagnostic, Issue, Severity, Suggestion
from service.diagnostics import Path as DocumentPath
from service.document.files import Folder
from service.document.interpolation import Substitution, references
from service.document.reading import Document
from service.document.report import faults_of
from service.document.validation import salvaged
from service.domain.days import LAST, Calendar
from service.domain.directory import Directory
from service.domain.storms import StormGuard
from service.errors import ConfigError
from service.rules.capabilities import Capabilities
from service.rules.compiler import Compiler
from service.rules.compiler.defaults import RuleDefaults
from service.rules.compiler.hours import compile_hours, long_closings, unknown_holidays
from service.rules.compiler.lints import never_open
from service.rules.rule import Rule
from service.rules.ruleset import Ruleset
from service.sources import systems
from service.sources.account import Account

Read = TypeVar("Read")

_SUBSTITUTED = ("accounts", "channels", "network", "users")
_RULES = ("timezone", "hours", "holidays", "storm", "contacts", "lists", "rules")
# What rules and their tests call by its name.
_NAMED = ("accounts", "channels", "people", "hours", "rules")
# What rules need to know of an account or a channel.
_NEEDED = ("system", "kind", "timezone", "due_by")


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The parts of a configuration, as far as they could be read; `off` are the disabled rules."""

    root: RootShape
    accounts: Mapping[str, Account]
    channels: Mapping[str, ChannelOptions]
    people: Directory
    users: Mapping[str, User]
    operator: Operator | None
    rules: Ruleset
    off: tuple[Rule, ...]
    trials: tuple[RuleTest, ...]

    @property
    def zones(self) -> dict[str, ZoneInfo]:
        """The time zone of every account, also of one that lacks options for connecting."""
        default = self.root.timezone
        return {name: _zone(raw, default) for name, raw in self.root.accounts.items()}


class Reader:
    """Reads one configuration, and collects the problems."""

    def __init__(
        self,
        document: Document,
        substitution: Substitution,
        folder: Folder,
        *,
        has_page: bool = True,
    ) -> None:
        self._has_page = has_page
        self._document = document
        self._folder = folder
        self._substitution = substitution
        self._problems: list[Issue] = []
        self._unread: frozenset[str] = frozenset()
        self._off: tuple[Rule, ...] = ()

    def rules_alone(self, offered: Capabilities) -> tuple[Ruleset, tuple[Rule, ...]]:
        """The rules of a document that has nothing else, and the disabled ones.

        Raises ConfigError.
        """
        written = {"version": 1, **self._document.data}
        root = self._root(written)
        rules = self._rules(root, written, offered)
        self.demand_sound()
        return rules, self._off

    def parts(self) -> WorkerParts:
        """All parts that can be read; problems are kept for `demand_sound`."""
        written = {name: part for name, part in self._document.data.items() if part is not None}
        root = self._root(self._substituted(written))
        accounts = self._noted(
            read_named("accounts", root.accounts, "system", Account, _account_shapes())
        )
        channels = self._noted(
            read_named("channels", root.channels, "kind", ChannelOptions, _channel_shapes())
        )
        accounts = {name: _in_zone(one, root.timezone) for name, one in accounts.items()}
        self._problems += [*account_names(root.accounts), *channel_names(root.channels)]
        self._problems += _unsigned_webhooks(accounts.values())
        self._problems += _channel_warnings(channels.values())
        people = self._noted(read_people(root.people))
        users = self._noted(read_users(root.users))
        given = given_by(root.people)
        offered = replace(
            reach(root.accounts, root.channels, self._unread, given), has_page=self._has_page
        )
        self._problems += _duplicate_accounts(offered)
        operator = self._operator(root, offered)
        rules = self._rules(root, written, offered)
        trials = self._trials(root, rules)
        named = (accounts, channels, people, users)
        return WorkerParts(root, *named, operator, rules, self._off, trials)

    def _trials(self, root: RootShape, rules: Ruleset) -> tuple[RuleTest, ...]:
        ids = [str(raw.get("id")) for raw in root.rules if isinstance(raw, dict)]
        reader = RuleTestReader(
            rules=ids,
            switched_on=rules.ids,
            accounts=tuple(root.accounts),
            channels=tuple(root.channels),
            zone=root.timezone,
            calendars={
                name: _calendar(raw, root.timezone)
                for name, raw in root.accounts.items()
                if isinstance(raw, dict)
            },
            place=self._document.place,
            unread=self._unread,
        )
        trials = reader.read(root.tests)
        self._problems += reader.problems
        return tuple(trials)

    def demand_sound(self, *, to_connect: bool = True) -> tuple[Diagnostic, ...]:
        """The warnings; raises ConfigError with all problems if there are errors.

        Errors that only matter `to_connect` to systems and channels may be left out.
        """
        problems = [one for one in self._problems if to_connect or not _is_to_connect(one.path)]
        faults = faults_of(self._document, self._substitution, problems)
        if any(fault.severity is Severity.ERROR for fault in faults):
            raise ConfigError(faults)
        return tuple(faults)

    def _substituted(self, written: Mapping[str, Any]) -> dict[str, Any]:
        data = dict(written)
        for name in written:
            if name in _SUBSTITUTED:
                data[name] = self._substitution.apply(written[name], (name,))
            else:
                self._problems += [_misplaced(at) for at in references(written[name], (name,))]
        self._problems += self._substitution.problems
        return data

    def _root(self, data: dict[str, Any]) -> RootShape:
        """The top level; if some sections are invalid, the others, so that those are checked."""
        root, problems = salvaged(RootShape, data, ())
        self._problems += problems
        root = root or RootShape(version=1)
        meant = {problem.hint.word for problem in problems if isinstance(problem.hint, Suggestion)}
        self._unread = frozenset(
            part
            for part in _NAMED
            if (part in data and part not in root.model_fields_set) or part in meant
        )
        return root

    def _noted(self, read: tuple[Read, Sequence[Issue]]) -> Read:
        value, problems = read
        self._problems += problems
        return value

    def _operator(self, root: RootShape, offered: Capabilities) -> Operator | None:
        if root.operator is None:
            return None
        return self._noted(read_operator(root.operator, offered))

    def _rules(self, root: RootShape, written: Mapping[str, Any], offered: Capabilities) -> Ruleset:
        off = root.holidays
        hours, problems = compile_hours(root.hours, off.country, off.closed, off.subdivision)
        given = written.get("holidays", {})
        if isinstance(given, dict) and given.keys() <= {"closed"}:
            self._problems += unknown_holidays(root.hours)
        self._problems += [*never_open(hours.values()), *long_closings(given)]
        contacts = self._noted(read_contacts(root, hours, offered))
        offered = replace(offered, has_contact_hours=root.contacts.hours is not None)
        lists = self._noted(read_lists(root.lists, self._folder))
        compiler = Compiler(offered, hours, self._folder, lists)
        defaults = _defaults(root, written)
        filled = defaults.filled(root.rules)
        rules = compiler.rules(filled)
        self._problems += [*problems, *defaults.placed(compiler.problems), *defaults.unused()]
        self._off = tuple(compiler.off)
        for name, text in self._folder.texts.items():
            self._document.add(self._folder.place(name), text)
        text = _canonical({**written, "rules": filled}, self._folder.texts)
        most = root.storm
        storm = StormGuard(most.messages, most.within, most.per_target, most.per_rule)
        return Ruleset(rules, text, storm, contacts)


def _defaults(root: RootShape, written: Mapping[str, Any]) -> RuleDefaults:
    """The valid parts of `defaults`, as they are written."""
    return RuleDefaults({key: written["defaults"][key] for key in root.defaults.model_fields_set})


def _is_to_connect(path: DocumentPath) -> bool:
    """Whether a place only matters for connections."""
    if path[:1] not in {("accounts",), ("channels",)}:
        return path[:1] in {("network",), ("operator",), ("users",)}
    return len(path) > 2 and path[2] not in _NEEDED  # noqa: PLR2004 (part, name, and what of it)


def _zone(raw: Mapping[str, Any], default: ZoneInfo) -> ZoneInfo:
    """The zone of an account: its own, its system's default, or that of the configuration."""
    shape = _account_shapes().get(str(raw.get("system")), Account)
    usual: ZoneInfo | None = shape.model_fields["timezone"].default
    own = raw.get("timezone", usual)
    return ZoneInfo(str(own)) if own else default


def _in_zone(account: Account, default: ZoneInfo) -> Account:
    """The account with a zone for its dates, if neither it nor its system has one."""
    return account if account.timezone else account.model_copy(update={"timezone": default})


def _calendar(raw: Mapping[str, Any], default: ZoneInfo) -> Calendar:
    """The calendar of an account; for an invalid account, as far as its options can be read."""
    try:
        return Calendar(_zone(raw, default), time.fromisoformat(str(raw.get("due_by", LAST))))
    except (KeyError, OSError, ValueError):
        return Calendar(default)


def _unsigned_webhooks(accounts: Iterable[Account]) -> Iterable[Issue]:
    for account in accounts:
        if account.webhook is not None and not account.webhook.is_signed:
            message = f"anyone on this machine can send webhooks to /hooks/{account.name}"
            hint = "replace verify: none by another scheme, such as verify: token, and add secret:"
            path = ("accounts", account.name, "webhook", "verify")
            yield Issue(path, message, hint, severity=Severity.WARNING)


def _channel_warnings(channels: Iterable[ChannelOptions]) -> Iterable[Issue]:
    """The warnings of channels, with their places in the whole configuration."""
    for channel in channels:
        for one in channel.warnings():
            yield replace(one, path=("channels", channel.name, *one.path))


def _duplicate_accounts(offered: Capabilities) -> Iterable[Issue]:
    """Warnings about accounts that read the same tasks as an earlier one."""
    first: dict[str, str] = {}
    for name in offered.accounts:
        other = first.setdefault(offered.tenant(name), name)
        if other != name:
            message = (
                f"accounts {name} and {other} read the same tasks,"
                " so every message would be sent twice"
            )
            hint = f"remove one of them, or limit each rule to one: accounts: [{other}]"
            yield Issue(("accounts", name), message, hint, at_key=True, severity=Severity.WARNING)


def _misplaced(path: DocumentPath) -> Issue:
    message = "${…} can be used only under accounts, channels, network and users, not in rules"
    return Issue(path, message)


def _account_shapes() -> dict[str, type[Account]]:
    return {name: source.options for name, source in systems().items()}


def _channel_shapes() -> dict[str, type[ChannelOptions]]:
    return {name: channel.options for name, channel in kinds().items()}


def _canonical(data: Mapping[str, Any], templates: Mapping[str, str]) -> str:
    """The part of the configuration that decisions depend on, without comments and in one order.

    It includes the texts of rules that are in files of their own.
    """
    parts = {name: data[name] for name in _RULES if name in data}
    if templates:
        parts["templates"] = dict(sorted(templates.items()))
    return orjson.dumps(parts, option=orjson.OPT_INDENT_2).decode()
