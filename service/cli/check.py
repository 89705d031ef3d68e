"""`taskbell check`: every error of a configuration, with position and suggestion."""

import os
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service import config
from service.cli.database import overrides_at_work
from service.cli.output.console import AsJson, print_line, show_json
from service.cli.output.overrides import lines_of
from service.diagnostics import Diagnostic, Severity
from service.domain.operators.overrides import Override
from service.errors import ConfigError, TaskbellError
from service.settings import Settings, read_settings
from service.store import DATABASE_ERRORS

app = typer.Typer()

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        exists=True,
        show_default="TASKBELL_CONFIG",
        help="YAML files, or folders of them. Each is checked as a separate configuration.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")]


@app.command()
def check(files: Files = None, *, strict: Strict = False, as_json: AsJson = False) -> None:
    """Check the configuration: show every error with its line and what to do about it."""
    settings = read_settings()
    configuration = settings.taskbell_config
    paths = files or [configuration]
    found = {path: config.check(path, os.environ, configuration) for path in paths}
    faults = [fault for some in found.values() for fault in some]
    overrides, why_not = _overrides(settings) if configuration in found else ({}, None)
    if as_json:
        fine = not _wrong(faults, strict=strict)
        show_json({"fine": fine, "faults": list(map(asdict, faults)), "overrides": overrides})
    else:
        for path, some in found.items():
            _tell(path, some)
        if why_not is not None:
            print_line(f"whether rules were switched is not known: {why_not}")
        for line in lines_of(overrides, _rules(configuration) if overrides else None):
            print_line(line)
    if _wrong(faults, strict=strict):
        raise typer.Exit(1)


def _overrides(settings: Settings) -> tuple[dict[str, Override], Exception | None]:
    """The overrides in the Taskbell that runs here; or why they cannot be read."""
    try:
        return overrides_at_work(settings), None
    except (TaskbellError, *DATABASE_ERRORS) as error:
        return {}, error


def _rules(configuration: Path) -> Collection[str] | None:
    """The ids of all rules, also of disabled ones; None if the configuration has errors."""
    try:
        return config.sketch(configuration, os.environ).on_trial.ids
    except ConfigError:
        return None


def _wrong(faults: list[Diagnostic], *, strict: bool) -> bool:
    return any(strict or fault.severity is Severity.ERROR for fault in faults)


def _tell(path: Path, faults: list[Diagnostic]) -> None:
    for fault in faults:
        # The caret points at the right place only in a line that is not broken.
        print_line(f"{fault}\n")
    warnings = sum(fault.severity is Severity.WARNING for fault in faults)
    counts = (_count(len(faults) - warnings, "error"), _count(warnings, "warning"))
    print_line(f"{path}: {' and '.join(filter(None, counts)) or 'no errors'}")


def _count(number: int, noun: str) -> str:
    return "" if not number else f"1 {noun}" if number == 1 else f"{number} {noun}s"
