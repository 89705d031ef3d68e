"""The `taskbell` command and its groups.

Exit codes: 0 success, 1 negative result or error, 2 usage error.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from service.cli.output.console import err, print_line, show_json, tell_crash
from service.document.messages import line
from service.errors import ConfigError, TaskbellError
from service.telemetry.visible import visible

# In the order of the help: a command or a group, and its module in `service.cli`.
_MODULES = {
    "serve": "serve",
    "web": "web",
    "demo": "demo",
    "sandbox": "sandbox",
    "check": "check",
    "test": "rule_tests",
    "explain": "explain",
    "next": "next",
    "preview": "preview",
    "plan": "plan",
    "backtest": "backtest",
    "replay": "replay",
    "events": "events",
    "send-test": "send_test",
    "schema": "schema",
    "secret": "secret",
    "doctor": "doctor",
    "migrate": "database",
    "tasks": "tasks",
    "outbox": "outbox",
    "accounts": "accounts",
    "rules": "rules",
    "silence": "silence",
    "hold": "hold",
    "user": "user",
}
_GROUPS = frozenset({"tasks", "outbox", "accounts", "rules", "silence", "hold", "user"})


def _version(*, is_asked: bool) -> None:
    if is_asked:
        print_line(f"taskbell {metadata.version('taskbell')}")
        raise typer.Exit


class _Commands(TyperGroup):
    """Escapes control characters in error messages about a command's usage, too.

    The help of a flag shows no type: `--json <bool>` reads as if a value had to follow.
    """

    def get_params(self, ctx: Any) -> Any:
        return _without_flag_types(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _without_flag_types(command.get_params(ctx))
        return command

    def make_context(self, *given: Any, **named: Any) -> Any:
        with _said_visibly():
            return super().make_context(*given, **named)

    def invoke(self, *given: Any, **named: Any) -> Any:
        with _said_visibly():
            return super().invoke(*given, **named)


class _Root(_Commands):
    """The commands of `_MODULES`, whose modules are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _MODULES and cmd_name not in self.commands:
            self.commands[cmd_name] = _loaded(cmd_name)
        return super().get_command(ctx, cmd_name)


def _loaded(name: str) -> Any:
    module = import_module(f"service.cli.{_MODULES[name]}")
    alone = typer.Typer(cls=_Commands)
    if name in _GROUPS:
        alone.add_typer(module.app, name=name, cls=_Commands)
    else:
        alone.add_typer(module.app)
    return typer.main.get_group(alone).commands[name]


def _without_flag_types(params: Sequence[Any]) -> Sequence[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


@contextmanager
def _said_visibly() -> Iterator[None]:
    # Typer writes control characters out, and neither all that act nor those in our own words.
    try:
        yield
    except typer.TyperException as error:
        if isinstance(error.__cause__, ValidationError):
            error.message = line("it", error.__cause__.errors()[0])
        error.message = visible(error.message)
        raise


app = typer.Typer(
    cls=_Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Watch the tasks in your CRM and job systems and send a message when something happens."""
    del version


def main() -> None:
    """Run a command; expected errors are shown without a traceback, with --json as JSON."""
    sys.excepthook = tell_crash
    if "--json" in sys.argv:
        sys.exit(_run_for_scripts())
    try:
        app(prog_name="taskbell")
    except TaskbellError as error:
        # A caret points at the right place only in a line that is not broken.
        err.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)


def _run_for_scripts() -> int:
    """Run a command whose output is JSON, whatever comes of it; returns its exit code."""
    try:
        code: int | None = app(prog_name="taskbell", standalone_mode=False)
    except ConfigError as error:
        show_json({"error": str(error), "faults": list(map(asdict, error.faults))})
        return 1
    except TaskbellError as error:
        show_json({"error": str(error)})
        return 1
    except typer.TyperException as error:
        show_json({"error": error.format_message()})
        return error.exit_code
    except typer.Abort:
        show_json({"error": "aborted: nothing was changed"})
        return 1
    return code or 0
