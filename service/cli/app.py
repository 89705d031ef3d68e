"""The `taskbell` command and its groups.

Exit codes: 0 success, 1 negative result or error, 2 usage error.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from service.cli import (
    accounts,
    backtest,
    check,
    database,
    demo,
    doctor,
    events,
    explain,
    hold,
    outbox,
    plan,
    preview,
    replay,
    rule_tests,
    rules,
    sandbox,
    schema,
    secret,
    send_test,
    serve,
    silence,
    tasks,
    user,
)
from service.cli import next as next_command
from service.cli.output.console import err, print_line, show_json, tell_crash
from service.document.messages import line
from service.errors import ConfigError, TaskbellError
from service.telemetry.visible import visible


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
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_COMMANDS = (
    serve,
    demo,
    sandbox,
    check,
    rule_tests,
    explain,
    next_command,
    preview,
    plan,
    backtest,
    replay,
    events,
    send_test,
    schema,
    secret,
    doctor,
    database,
)
for part in _COMMANDS:
    app.add_typer(part.app)
app.add_typer(tasks.app, name="tasks", cls=_Commands)
app.add_typer(outbox.app, name="outbox", cls=_Commands)
app.add_typer(accounts.app, name="accounts", cls=_Commands)
app.add_typer(rules.app, name="rules", cls=_Commands)
app.add_typer(silence.app, name="silence", cls=_Commands)
app.add_typer(hold.app, name="hold", cls=_Commands)
app.add_typer(user.app, name="user", cls=_Commands)


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
