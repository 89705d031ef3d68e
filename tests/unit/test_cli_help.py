"""What the help of the commands says, each of them."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from service.cli.app import app


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, TyperGroup):
        context = command.context_class(command)
        for name in command.list_commands(context):
            yield from _commands(command.get_command(context, name), (*words, name))


ROOT: Any = typer.main.get_command(app)
COMMANDS = list(_commands(ROOT))


def help_of(*words: str) -> str:
    return CliRunner().invoke(app, [*words, "--help"]).output


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_flag_asks_for_no_value(words: tuple[str, ...]) -> None:
    """`--json` stands alone, and so does `--help`, in every command."""
    said = help_of(*words)
    assert "--help" in said
    assert "bool" not in said


def test_options_still_name_their_values() -> None:
    """The value of an option that takes one is named."""
    assert "<str>" in help_of("send-test")


def test_an_option_without_effect_is_not_shown() -> None:
    """The schema is always JSON; `--json` is accepted there, and not explained."""
    assert "--json" not in help_of("schema")
    assert CliRunner().invoke(app, ["schema", "--json"]).exit_code == 0


@pytest.mark.parametrize("name", ROOT.list_commands(None))
def test_the_list_says_of_a_command_what_its_own_help_says(name: str) -> None:
    """The list is made without the modules of the commands: their first lines are in it again."""
    itself = ROOT.get_command(ROOT.context_class(ROOT), name)
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    line = " ".join(itself.help.split("\n\n")[0].split())
    assert (f" {name} " in listed and f" {line} " in listed) is not itself.hidden
