"""The configuration: read from a file or a folder, validated and used as a whole.

Its format: see README.md. Every error has its file, line and column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from service.channels import ChannelOptions
from service.config.capabilities import reach
from service.config.operator import Operator
from service.config.reader import Reader
from service.config.root_shape import Network
from service.config.rule_tests import RuleTest
from service.config.users import User, read_users
from service.diagnostics import Diagnostic, Issue
from service.document.files import Folder, folder_of, texts
from service.document.interpolation import Substitution
from service.document.messages import must_be
from service.document.reading import Document
from service.document.report import faults_of
from service.domain.directory import NOBODY, Directory
from service.domain.operators.overrides import Override
from service.errors import ConfigError
from service.rules.overrides import overrides_in
from service.rules.rule import Rule
from service.rules.ruleset import Ruleset
from service.sources.account import Account

_USERS = "users"


@dataclass(frozen=True, slots=True)
class Config:
    """A valid configuration.

    - `allow`: the private networks that may be called
    - `timezone`: the time zone of accounts without one
    - `operator`: the channel and target for messages about Taskbell itself
    - `users`: who may sign in at the page, by their names in small letters
    - `text`: the part that decisions depend on, as JSON, without any secret
    - `off`: the disabled rules
    """

    accounts: Mapping[str, Account]
    channels: Mapping[str, ChannelOptions]
    allow: tuple[Network, ...]
    timezone: ZoneInfo
    rules: Ruleset
    warnings: tuple[Diagnostic, ...]
    text: str
    operator: Operator | None = None
    people: Directory = NOBODY
    users: Mapping[str, User] = field(default_factory=dict)
    trials: tuple[RuleTest, ...] = ()
    off: tuple[Rule, ...] = ()

    def switched(self, overrides: Mapping[str, Override]) -> Self:
        """This configuration as read from files, with the modes of its rules by these overrides."""
        rules, off = self.rules.switched(self.off, overrides)
        return replace(self, rules=rules, off=off, text=rules.text)

    def has_rule(self, rule: str) -> bool:
        """Whether it has a rule with this id, enabled or not."""
        return rule in self.rules or any(one.id == rule for one in self.off)

    @property
    def of_rules(self) -> "RulesConfig":
        """The part of it that rules use."""
        return RulesConfig(
            rules=self.rules,
            timezone=self.timezone,
            zones=self.zones,
            systems={name: one.system for name, one in self.accounts.items()},
            kinds=self.kinds,
            trials=self.trials,
            off=self.off,
            people=self.people,
        )

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of every channel."""
        return {name: options.kind for name, options in self.channels.items()}

    @property
    def zones(self) -> dict[str, ZoneInfo]:
        """The time zone of every account."""
        return {name: one.timezone or self.timezone for name, one in self.accounts.items()}


@dataclass(frozen=True, slots=True)
class RulesConfig:
    """The part of a configuration that rules use: needs no credentials.

    `zones`, `systems` and `kinds` are by the names of accounts, accounts and channels; `off` are
    the disabled rules.
    """

    rules: Ruleset
    timezone: ZoneInfo
    zones: Mapping[str, ZoneInfo]
    systems: Mapping[str, str]
    kinds: Mapping[str, str]
    trials: tuple[RuleTest, ...]
    off: tuple[Rule, ...] = ()
    people: Directory = NOBODY

    def switched(self, overrides: Mapping[str, Override]) -> Self:
        """The same with the modes of its rules by these overrides; see `Config.switched`."""
        rules, off = self.rules.switched(self.off, overrides)
        return replace(self, rules=rules, off=off)

    @property
    def on_trial(self) -> Ruleset:
        """All rules as if they were enabled: also disabled ones and shadow rules."""
        return self.rules.with_others(self.off).with_shadow_enabled()


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration at `path`, a YAML file or a folder of them.

    References are replaced by values from `environ` and from files. Raises ConfigError with every
    error.
    """
    return load_texts(texts(path), folder_of(path), environ)


def load_texts(
    files: Sequence[tuple[str, str]], folder: Folder, environ: Mapping[str, str]
) -> Config:
    """Read a configuration from the names and texts of its files; otherwise as `load`."""
    has_page = any(environ.get(name) for name in ("TASKBELL_URL", "TASKBELL_URL_FILE"))
    reader = Reader(Document(files), Substitution(environ), folder, has_page=has_page)
    parts = reader.parts()
    warnings = reader.demand_sound()
    return Config(
        accounts=parts.accounts,
        channels=parts.channels,
        allow=parts.root.network.allow,
        timezone=parts.root.timezone,
        rules=parts.rules,
        warnings=warnings,
        text=parts.rules.text,
        operator=parts.operator,
        people=parts.people,
        users=parts.users,
        trials=parts.trials,
        off=parts.off,
    )


def sketch(path: Path, environ: Mapping[str, str]) -> RulesConfig:
    """Read as much of the configuration at `path` as its rules and their tests need.

    References are replaced by values from `environ` and from files, as far as they exist. Raises
    ConfigError with every error in the needed parts, such as an account's time zone; options that
    only a connection needs may be missing.
    """
    return sketch_texts(texts(path), folder_of(path), environ)


def sketch_texts(
    files: Sequence[tuple[str, str]], folder: Folder, environ: Mapping[str, str]
) -> RulesConfig:
    """The part of a configuration that rules use, from these files; otherwise as `sketch`."""
    reader = Reader(Document(files), Substitution(environ), folder)
    parts = reader.parts()
    reader.demand_sound(to_connect=False)
    root = parts.root
    return RulesConfig(
        rules=parts.rules,
        timezone=root.timezone,
        zones=parts.zones,
        systems={name: raw["system"] for name, raw in root.accounts.items()},
        kinds={name: raw["kind"] for name, raw in root.channels.items()},
        trials=parts.trials,
        off=parts.off,
        people=parts.people,
    )


def sketch_tests(path: Path, beside: Path, environ: Mapping[str, str]) -> RulesConfig:
    """The configuration for the tests at `path`, with no other tests; otherwise as `sketch`.

    If there are only tests, the rest comes from the configuration at `beside`.
    """
    files = texts(path)
    if not _only_tests(files):
        return sketch_texts(files, folder_of(path), environ)
    found = sketch_texts(_completed(files, beside), folder_of(beside), environ)
    names = {name for name, _ in files}
    return replace(found, trials=tuple(one for one in found.trials if one.file in names))


def _only_tests(files: Sequence[tuple[str, str]]) -> bool:
    written = Document(files).data.keys()
    return "tests" in written and written <= {"tests", "version"}


def _completed(files: Sequence[tuple[str, str]], beside: Path) -> list[tuple[str, str]]:
    """The files, and those of the configuration that they belong to or are part of."""
    own = {Path(name).resolve() for name, _ in files}
    others = [(name, text) for name, text in texts(beside) if Path(name).resolve() not in own]
    return [*others, *files]


def users_in(path: Path) -> list[tuple[User, str]]:
    """The users in the configuration at `path`, each with the file and line of their name.

    Their passwords are as they are written. Raises ConfigError if it has errors in this part.
    """
    document = Document(texts(path))
    raws = document.data.get(_USERS) or {}
    if isinstance(raws, dict):
        users, problems = read_users(raws)
    else:
        users, problems = {}, [Issue((_USERS,), must_be(_USERS, "names, each with a role", raws))]
    if problems:
        raise ConfigError(faults_of(document, Substitution({}), problems))
    return [(one, document.place((_USERS, one.name), at_key=True)) for one in users.values()]


def past_rules(text: str, sketch: RulesConfig) -> Ruleset:
    """Rules from their stored text (`Config.text`), as they decided then, with their overrides.

    Names that they use and that are no longer in the configuration are assumed to exist. Raises
    ConfigError if the language has changed so that they cannot be compiled.
    """
    document = Document([("the rules of then", text)])
    kept = document.data.pop("templates", {})
    document.data.pop("overrides", None)
    reader = Reader(document, Substitution({}), Folder(Path(), kept))
    accounts = {name: {"system": system} for name, system in sketch.systems.items()}
    channels = {name: {"kind": kind} for name, kind in sketch.kinds.items()}
    rules, off = reader.rules_alone(reach(accounts, channels, frozenset({"accounts", "channels"})))
    return rules.switched(off, overrides_in(text))[0]


def check(path: Path, environ: Mapping[str, str], beside: Path | None = None) -> list[Diagnostic]:
    """Every error and warning of the configuration at `path`.

    If there are only tests, they are checked with the configuration at `beside`.
    """
    try:
        files = texts(path)
        if beside is not None and _only_tests(files):
            return check_texts(_completed(files, beside), folder_of(beside), environ)
    except ConfigError as error:
        return list(error.faults)
    return check_texts(files, folder_of(path), environ)


def check_texts(
    files: Sequence[tuple[str, str]], folder: Folder, environ: Mapping[str, str]
) -> list[Diagnostic]:
    """Every error and warning of the configuration in these files; otherwise as `check`."""
    try:
        return list(load_texts(files, folder, environ).warnings)
    except ConfigError as error:
        return list(error.faults)
