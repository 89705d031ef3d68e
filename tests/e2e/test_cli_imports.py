"""What a command imports before it does anything: not the modules of the others."""

import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import typer

from service import cli
from service.cli.app import app
from tests.harness.commands import clean_environment
from tests.unit.test_cli_help import COMMANDS

# What takes long to import, and what no command needs that neither calls nor serves anybody.
SENDING = ("aiohttp", "arq", "cryptography", "jinja2", "redis", "uvicorn")
# What only commands need that read the configuration.
CONFIGURATION = (
    *("aiosmtplib", "argon2", "babel", "cel_expr_python", "google", "holidays", "httpx"),
    *("liquid", "opening_hours", "prometheus_client", "starlette"),
    *("service.channels", "service.config", "service.engine", "service.rules.compiler"),
    *("service.rules.language.expressions", "service.rules.ruleset", "service.sandbox"),
    *("service.simulator", "service.sources", "service.web.app"),
)
ASKING = [
    ("secret",),
    ("accounts", "list"),
    ("events",),
    ("hold", "status"),
    ("migrate",),
    ("outbox", "list"),
    ("outbox", "retry"),
    ("silence", "list"),
    ("tasks", "list"),
    ("tasks", "show"),
]
READING = [
    ("check",),
    ("backtest",),
    ("explain",),
    ("next",),
    ("plan",),
    ("preview",),
    ("replay",),
    ("rules", "list"),
    ("schema",),
    ("serve",),
    ("test",),
    ("user", "list"),
]
WHOLE = """
version: 1
accounts:
  field:
    system: kickserv
    base_url: https://app.kickserv.com
    slug: acme
    token: "${FIELD_TOKEN}"
    poll: 30s
channels:
  slack: { kind: slack, token: "${SLACK_TOKEN}" }
rules:
- { id: done, when: task.completed, then: [{ notify: "slack:#office", text: "{{ task.title }}" }] }
"""
LISTED = """
import atexit, runpy, sys
atexit.register(lambda: print("imported", *sys.modules, file=sys.stderr))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def imported(*words: str, program: str = "service", cwd: Path | None = None) -> set[str]:
    """The modules that there are at the end of `python -m service` with these words."""
    said = subprocess.run(
        [sys.executable, "-c", LISTED, program, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=clean_environment(FIELD_TOKEN="f", SLACK_TOKEN="s"),
    ).stderr
    return set(said.rpartition("imported ")[2].split())


@cache
def imported_by(words: tuple[str, ...]) -> set[str]:
    """The modules that there are when a command has shown its help."""
    found = imported(*words, "--help")
    own = {"migrate": "database", "test": "rule_tests"}.get(words[0], words[0])
    assert f"service.cli.{own}" in found
    return found


def of(packages: tuple[str, ...], modules: set[str]) -> list[str]:
    """The modules that are one of these packages, or in one."""
    return sorted(one for one in modules if f"{one}.".startswith(tuple(f"{p}." for p in packages)))


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_a_command_that_asks_the_database_imports_no_rules(words: tuple[str, ...]) -> None:
    """Neither CEL nor Liquid, nor what calls and serves others: it starts in half a second."""
    assert of((*SENDING, *CONFIGURATION), imported_by(words)) == []


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_command_that_reads_the_configuration_calls_nobody(words: tuple[str, ...]) -> None:
    """It knows the options of systems and channels without what calls them."""
    found = imported_by(words)
    assert of((*SENDING, "service.sandbox", "service.web.app"), found) == []


def test_reading_a_configuration_imports_nothing_that_calls(tmp_path: Path) -> None:
    """Nor do the systems and channels, which are imported when a configuration names one."""
    (tmp_path / "taskbell.yaml").write_text(WHOLE)
    found = imported("check", cwd=tmp_path)
    assert {"service.sources.kickserv", "service.channels.slack"} <= found
    assert of(SENDING, found) == []


def test_the_list_of_commands_imports_none_of_them() -> None:
    """The help of all commands needs neither their modules nor what these need."""
    found = imported("--help")
    commands = {name for name in found if name.startswith("service.cli.")}
    assert {one for one in commands if not one.startswith("service.cli.output")} == {
        "service.cli.app"
    }
    assert of((*SENDING, *CONFIGURATION, "asyncpg", "ruamel", "structlog"), found) == []


def test_a_worker_imports_nothing_that_serves() -> None:
    """Neither the pages nor their server, nor what simulates."""
    found = imported(program="workers")  # which ends because it has no database
    assert "workers.sender" in found
    unneeded = ("jinja2", "uvicorn", "service.cli", "service.sandbox", "service.simulator")
    assert of((*unneeded, "service.web"), found) == []


@pytest.mark.parametrize("words", [*ASKING, *READING], ids=" ".join)
def test_a_command_imports_no_other_command(words: tuple[str, ...]) -> None:
    """Not those that start, simulate or examine everything."""
    others = {"demo", "doctor", "sandbox", "serve", "web"} - {words[0]}
    modules = tuple(f"service.cli.{one}" for one in others)
    assert of(modules, imported_by(words)) == []


def declared() -> Iterator[tuple[str, ...]]:
    """The commands of all modules of `service.cli`, also hidden ones; of a group with its name."""
    for one in pkgutil.iter_modules(cli.__path__):
        group = getattr(import_module(f"service.cli.{one.name}"), "app", None)
        if not isinstance(group, typer.Typer) or group is app:
            continue
        head = (one.name,) if group.info.no_args_is_help is True else ()
        for each in group.registered_commands:
            assert each.callback is not None
            yield (*head, each.name or each.callback.__name__)


def test_every_command_is_found() -> None:
    """A command that is new, or hidden, has to be in the table of the modules to be imported."""
    found = set(declared())
    assert {("web",), ("preview",), ("user", "remove"), ("outbox", "send-now")} <= found
    assert found == {words for words in COMMANDS if words and (len(words) > 1 or words in found)}
    assert {words[0] for words in COMMANDS if words} == {words[0] for words in found}
