"""The `taskbell` command and its groups.

Exit codes: 0 success, 1 negative result or error, 2 usage error.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Annotated, Any

import typer
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
    outbox,
    plan,
    replay,
    rule_tests,
    rules,
    sandbox,
    schema,
    secret,
    send_test,
    serve,
    silence,
    user,
)
from service.cli import next as next_command
from service.cli.output.console import err, print_line, tell_crash
from service.errors import TaskbellError
from service.telemetry.visible import visible


def _version(*, is_asked: bool) -> None:
    if is_asked:
        print_line(f"taskbell {metadata.version('taskbell')}")
        raise typer.Exit


class _Commands(TyperGroup):
    """Escapes control characters in error messages about a command's usage, too."""

    def make_context(self, *given: Any, **named: Any) -> Any:
        with _said_visibly():
            return super().make_context(*given, **named)

    def invoke(self, *given: Any, **named: Any) -> Any:
        with _said_visibly():
            return super().invoke(*given, **named)


@contextmanager
def _said_visibly() -> Iterator[None]:
    # Typer writes control characters out, and neither all that act nor those in our own words.
    try:
        yield
    except typer.TyperException as error:
        error.message = visible(error.message)
        raise


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
_COMMANDS = (
    serve,
    demo,
    sandbox,
    check,
    rule_tests,
    explain,
    next_command,
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
app.add_typer(outbox.app, name="outbox")
app.add_typer(accounts.app, name="accounts")
app.add_typer(rules.app, name="rules")
app.add_typer(silence.app, name="silence")
app.add_typer(user.app, name="user")


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
    """Run a command; expected errors are shown without a traceback."""
    sys.excepthook = tell_crash
    try:
        app(prog_name="taskbell")
    except TaskbellError as error:
        # A caret points at the right place only in a line that is not broken.
        err.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)
