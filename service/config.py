"""The configuration: read from a file or a folder, checked as a whole, used as a whole or not.

What it looks like: see README.md. Every fault has its file, line and column.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import orjson
from pydantic import Field

from service.channels import ChannelOptions, kinds
from service.document import Document
from service.document.files import texts
from service.document.substitution import Substitution, references
from service.document.validation import Shape, validated
from service.errors import ConfigError
from service.faults import Fault, Problem, Severity, did_you_mean
from service.faults import Path as DocumentPath
from service.rules import Ruleset
from service.rules.compiling import Compiler, compile_hours
from service.rules.reach import Abilities, Reach, Way
from service.sources import Account, systems

Named = TypeVar("Named", Account, ChannelOptions)
Network: TypeAlias = IPv4Network | IPv6Network

_SHORTEST_POLL = timedelta(seconds=1)
_SUBSTITUTED = ("accounts", "channels", "network")
_RULES = ("timezone", "hours", "holidays", "rules")
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without faults.

    `allow` are the private networks that may be called. `timezone` is that of accounts that have
    none. `text` is the part that decisions depend on, as JSON, without any secret.
    """

    accounts: Mapping[str, Account]
    channels: Mapping[str, ChannelOptions]
    allow: tuple[Network, ...]
    timezone: ZoneInfo
    rules: Ruleset
    warnings: tuple[Fault, ...]
    text: str


class NetworkShape(Shape):
    """Which private addresses may be called."""

    allow: tuple[Network, ...] = ()


class HolidaysShape(Shape):
    """Whose public holidays PH are, as an ISO country code."""

    country: str


class RootShape(Shape):
    """The whole configuration; accounts, channels and rules are looked at one by one."""

    not_yet: ClassVar[frozenset[str]] = frozenset({"tests"})

    version: Literal[1]
    accounts: dict[str, Any] = Field(default_factory=dict)
    channels: dict[str, Any] = Field(default_factory=dict)
    network: NetworkShape = NetworkShape()
    timezone: ZoneInfo = ZoneInfo("UTC")
    hours: dict[str, str] = Field(default_factory=dict)
    holidays: HolidaysShape | None = None
    rules: list[Any] = Field(default_factory=list)


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration at `path`, a YAML file or a folder of them.

    Values are put in from `environ` and from files. Raises ConfigError with every fault.
    """
    return _Loading(Document(texts(path)), Substitution(environ)).config()


def check(path: Path, environ: Mapping[str, str]) -> list[Fault]:
    """Every fault and warning of the configuration at `path`; none means that it is fine."""
    try:
        return list(load(path, environ).warnings)
    except ConfigError as error:
        return list(error.faults)


class _Loading:
    """One reading of a configuration, and what is found wrong on the way."""

    def __init__(self, document: Document, substitution: Substitution) -> None:
        self._document = document
        self._substitution = substitution
        self._problems: list[Problem] = []

    def config(self) -> Config:
        """The whole, or ConfigError."""
        written = {name: part for name, part in self._document.data.items() if part is not None}
        root = self._root(self._substituted(written))
        accounts = self._each("accounts", root.accounts, "system", _account_shapes())
        channels = self._each("channels", root.channels, "kind", _channel_shapes())
        self._problems += [
            Problem(("accounts", name, "poll"), "poll is at least 1s")
            for name, account in accounts.items()
            if account.poll < _SHORTEST_POLL
        ]
        text = _canonical(written)
        rules = self._rules(root, text)
        faults = self._faults()
        if any(fault.severity is Severity.ERROR for fault in faults):
            raise ConfigError(faults)
        zone, allow = root.timezone, root.network.allow
        return Config(accounts, channels, allow, zone, rules, tuple(faults), text)

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
        """The whole; where parts of it are wrong the others, so that they are checked as well."""
        root, problems = validated(RootShape, data, ())
        self._problems += problems
        if root is not None:
            return root
        wrong = {problem.path[0] for problem in problems}
        sound = {name: part for name, part in data.items() if name not in wrong}
        root, _ = validated(RootShape, {"version": 1, **sound}, ())
        return root or RootShape(version=1)

    def _each(
        self, part: str, raws: Mapping[str, Any], key: str, shapes: Mapping[str, type[Named]]
    ) -> dict[str, Named]:
        """What is named in a part: its class is found by the value of `key`."""
        found = {}
        for name, raw in raws.items():
            path: DocumentPath = (part, name)
            kind = raw.get(key) if isinstance(raw, dict) else None
            if not isinstance(raw, dict):
                self._problems.append(Problem(path, f"{name} needs {key}: and what belongs to it"))
            elif kind is None:
                self._problems.append(Problem((*path, key), f"{key} is missing", at_key=True))
            elif kind not in shapes:
                hint = did_you_mean(str(kind), shapes)
                self._problems.append(Problem((*path, key), f"there is no {key} {kind}", hint))
            else:
                made, problems = validated(shapes[kind], raw, path, {"name": name})
                self._problems += problems
                if made is not None:
                    found[name] = made
        return found

    def _rules(self, root: RootShape, text: str) -> Ruleset:
        country = root.holidays.country if root.holidays else None
        hours, problems = compile_hours(root.hours, country)
        compiler = Compiler(_reach(root), hours)
        rules = compiler.rules(root.rules)
        self._problems += problems + compiler.problems
        return Ruleset(rules, text)

    def _faults(self) -> list[Fault]:
        """Everything found, in the order of the files, each once, and without any secret."""
        found = [self._document.fault(problem) for problem in self._problems]
        clean = dict.fromkeys(map(self._redacted, (*self._document.faults, *found)))
        return sorted(clean, key=lambda fault: (fault.file, fault.line, fault.column))

    def _redacted(self, fault: Fault) -> Fault:
        shown = {value: reference for reference, value in self._substitution.values.items()}
        shown.update(dict.fromkeys(self._document.secrets, "***"))
        message, hint = fault.message, fault.hint
        for value in sorted(shown, key=len, reverse=True):
            if len(value) >= _SHORTEST_SECRET:
                message = message.replace(value, shown[value])
                hint = hint and hint.replace(value, shown[value])
        return replace(fault, message=message, hint=hint)


def _misplaced(path: DocumentPath) -> Problem:
    message = "${…} is for accounts, channels and network; a rule sees only the task"
    return Problem(path, message)


def _account_shapes() -> dict[str, type[Account]]:
    return {name: source.options for name, source in systems().items()}


def _channel_shapes() -> dict[str, type[ChannelOptions]]:
    return {name: channel.options for name, channel in kinds().items()}


def _reach(root: RootShape) -> Reach:
    """What rules can use, including what is named and has faults of its own."""
    accounts = {name: _abilities(_word(raw, "system")) for name, raw in root.accounts.items()}
    ways = {name: _way(_word(raw, "kind")) for name, raw in root.channels.items()}
    return Reach(ways, accounts)


def _abilities(system: str) -> Abilities | None:
    source = systems().get(system)
    return Abilities(system, source.notifications, source.writes) if source else None


def _way(kind: str) -> Way:
    channel = kinds().get(kind)
    if channel is None:
        return Way(needs_target=False, can_update=True)
    return Way(channel.needs_target, channel.can_update)


def _word(raw: Any, key: str) -> str:
    return str(raw.get(key)) if isinstance(raw, dict) else ""


def _canonical(data: Mapping[str, Any]) -> str:
    """The part of the configuration that decides, without comments and in one order."""
    parts = {name: data[name] for name in _RULES if name in data}
    return orjson.dumps(parts, option=orjson.OPT_INDENT_2).decode()
