"""What a command imports before it does anything: not the modules of the others."""

import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest
import typer

from service import cli
from service.cli.app import app
from tests.unit.test_cli_help import COMMANDS

# What takes long to import, and what few commands need.
HEAVY = ("service.sandbox", "service.simulator", "service.web.server", "service.engine")
LEAN = [
    ("secret",),
    ("user", "list"),
    ("tasks", "list"),
    ("tasks", "show"),
    ("events",),
    ("hold", "status"),
    ("silence", "list"),
    ("rules", "list"),
    ("outbox", "list"),
]
LISTED = "import sys; from service.cli.app import main; main()"


def imported(*words: str) -> set[str]:
    """The modules that are there when a command has shown its help."""
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", LISTED, *words, "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    return {line.rpartition("|")[2].strip() for line in said.splitlines() if "|" in line}


@pytest.mark.parametrize("words", LEAN, ids=" ".join)
def test_a_command_imports_only_what_it_needs(words: tuple[str, ...]) -> None:
    """Neither the modules of other commands, nor those by which tasks are simulated or served."""
    found = imported(*words)
    commands = {name for name in found if name.startswith("service.cli.")}
    others = {"service.cli.serve", "service.cli.demo", "service.cli.doctor", "service.cli.sandbox"}
    assert not commands & others
    assert not [name for name in found if name.startswith(HEAVY)]


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
