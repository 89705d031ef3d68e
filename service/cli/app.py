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
from typer.core import TyperCommand, TyperGroup

from service.cli.output.console import err, print_line, show_json, tell_crash
from service.document.messages import line
from service.errors import ConfigError, TaskbellError
from service.processes import gc_tuning
from service.telemetry.visible import visible

# In the order of the help: a command or a group, its module in `service.cli`, and its line there,
# without which it is hidden. The help imports none of the modules; a test compares the lines.
_COMMANDS: dict[str, tuple[str, str | None]] = {
    "serve": ("serve", "Start Taskbell: web and worker processes."),
    "web": ("web", None),
    "demo": (
        "demo",
        "Run the demo: emulated systems with simulated work, example rules, and an inbox.",
    ),
    "sandbox": ("sandbox", "Run emulations of the systems, Slack and a mail server on 127.0.0.1."),
    "check": (
        "check",
        "Check the configuration: show every error with its line and what to do about it.",
    ),
    "test": (
        "rule_tests",
        "Run the rule tests under `tests:`. No credentials, database or network are needed.",
    ),
    "explain": (
        "explain",
        "Show why each rule fired for a task or did not, with the values in its conditions.",
    ),
    "next": (
        "next",
        "Show what will be sent, to whom and when, if no task changes. Nothing is sent.",
    ),
    "preview": (
        "preview",
        "Show what a rule would send about a task: to whom, when, and with which text.",
    ),
    "plan": (
        "plan",
        "Compare a configuration with the one in use: rules, alarms, messages. Changes nothing.",
    ),
    "backtest": (
        "backtest",
        "Show what rules would have sent, how often, to whom and when. Nothing is sent.",
    ),
    "replay": (
        "replay",
        "Evaluate the recorded decisions again and compare the results. Nothing is sent.",
    ),
    "events": (
        "events",
        "List the latest events, newest first: which task changed, how, and how Taskbell noticed.",
    ),
    "send-test": (
        "send_test",
        "Send one real test message through a channel of the configuration.",
    ),
    "schema": (
        "schema",
        "Print the JSON Schema of the configuration, for editors. The output is always JSON.",
    ),
    "secret": (
        "secret",
        "Generate a secret for a webhook, with any `verify`, or for TASKBELL_ADMIN_TOKEN.",
    ),
    "doctor": (
        "doctor",
        "Check settings, database, Redis, workers, accounts and channels. Sends no message.",
    ),
    "migrate": (
        "database",
        "Bring the database's tables up to date. Safe while Taskbell is running.",
    ),
    "tasks": ("tasks", "Find tasks, and show one of them."),
    "outbox": (
        "outbox",
        "Show deliveries and act on them. A delivery is one message, or one write to a system.",
    ),
    "accounts": ("accounts", "List, sync, pause and resume the connections to the systems."),
    "rules": ("rules", "List the rules, and switch them on, to trial or off."),
    "silence": ("silence", "Suppress certain messages for a while, with a reason."),
    "hold": ("hold", "Hold all messages to customers for a while, with a reason."),
    "contacts": ("contacts", "Record which customers want no messages, and which have agreed."),
    "user": ("user", "Add, list and remove people who may sign in at the page."),
}
_GROUPS = frozenset({"tasks", "outbox", "accounts", "rules", "silence", "hold", "contacts", "user"})


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
    """The commands of `_COMMANDS`, whose modules are imported when they are to run."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _loaded(cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        listed: dict[str, Any] = {
            name: TyperCommand(name, help=says, hidden=says is None)
            for name, (_, says) in _COMMANDS.items()
        }
        shown = _Commands(name=self.name, commands=listed, help=self.help, params=self.params)
        shown.format_help(ctx, formatter)


def _loaded(name: str) -> Any:
    with gc_tuning.paused():
        module = import_module(f"service.cli.{_COMMANDS[name][0]}")
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
