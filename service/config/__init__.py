"""The configuration: read from a file or a folder, checked as a whole, used as a whole or not.

What it looks like: see README.md. Every fault has its file, line and column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from service.channels import ChannelOptions
from service.config.capabilities import reach
from service.config.operator import Operator
from service.config.reader import Reader
from service.config.root_shape import Network
from service.config.rule_tests import RuleTest
from service.diagnostics import Diagnostic
from service.document import Document
from service.document.files import Folder, folder_of, texts
from service.document.interpolation import Substitution
from service.domain.directory import NOBODY, Directory
from service.errors import ConfigError
from service.rules import Ruleset
from service.rules.rule import Rule
from service.sources.account import Account


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without faults.

    `allow` are the private networks that may be called. `timezone` is that of accounts that have
    none. `operator` is whom Taskbell tells how it does. `text` is the part that decisions depend
    on, as JSON, without any secret.
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
    trials: tuple[RuleTest, ...] = ()

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
    """What rules see of a configuration: for that nobody needs its credentials.

    `zones`, `systems` and `kinds` are by the names of accounts, accounts and channels; `off` are
    the rules that are switched off.
    """

    rules: Ruleset
    timezone: ZoneInfo
    zones: Mapping[str, ZoneInfo]
    systems: Mapping[str, str]
    kinds: Mapping[str, str]
    trials: tuple[RuleTest, ...]
    off: tuple[Rule, ...] = ()
    people: Directory = NOBODY

    @property
    def on_trial(self) -> Ruleset:
        """All rules as if they were switched on: also those that are off, or only shadows."""
        return self.rules.with_others(self.off).with_shadow_enabled()


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration at `path`, a YAML file or a folder of them.

    Values are put in from `environ` and from files. Raises ConfigError with every fault.
    """
    return load_texts(texts(path), folder_of(path), environ)


def load_texts(
    files: Sequence[tuple[str, str]], folder: Folder, environ: Mapping[str, str]
) -> Config:
    """Read a configuration from the names and texts of its files; else as `load` does it."""
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
        trials=parts.trials,
    )


def sketch(path: Path, environ: Mapping[str, str]) -> RulesConfig:
    """Read as much of the configuration at `path` as its rules and their tests need.

    Values are put in from `environ` and from files, as far as they are there. Raises ConfigError
    with every fault in what is needed, such as an account's time zone; what only a connection
    needs may be missing.
    """
    return sketch_texts(texts(path), folder_of(path), environ)


def sketch_texts(
    files: Sequence[tuple[str, str]], folder: Folder, environ: Mapping[str, str]
) -> RulesConfig:
    """What rules see of a configuration of which these are the files; else as `sketch` does it."""
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
    """What the tests at `path` need, and no others; else as `sketch` does it.

    Where there is nothing but tests, the rest comes from the configuration at `beside`.
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
    """The files and the configuration that they belong to, in which they may be as well."""
    own = {Path(name).resolve() for name, _ in files}
    others = [(name, text) for name, text in texts(beside) if Path(name).resolve() not in own]
    return [*others, *files]


def past_rules(text: str, sketch: RulesConfig) -> Ruleset:
    """Rules out of the text that was kept of them (`Config.text`), as they decided then.

    What they call by name and is not in the configuration any more is taken to exist. Raises
    ConfigError where the language has changed so that they cannot be read.
    """
    document = Document([("the rules of then", text)])
    kept = document.data.pop("templates", {})
    reader = Reader(document, Substitution({}), Folder(Path(), kept))
    accounts = {name: {"system": system} for name, system in sketch.systems.items()}
    channels = {name: {"kind": kind} for name, kind in sketch.kinds.items()}
    return reader.rules_alone(reach(accounts, channels, frozenset({"accounts", "channels"})))


def check(path: Path, environ: Mapping[str, str], beside: Path | None = None) -> list[Diagnostic]:
    """Every fault and warning of the configuration at `path`; none means that it is fine.

    Where there are only tests, they are checked with the configuration at `beside`.
    """
    try:
        files = texts(path)
        if beside is not None and _only_tests(files):
            return list(load_texts(_completed(files, beside), folder_of(beside), environ).warnings)
        return list(load_texts(files, folder_of(path), environ).warnings)
    except ConfigError as error:
        return list(error.faults)
