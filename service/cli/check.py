"""`taskbell check`: every error of a configuration, with position and suggestion."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service import config
from service.cli.output.console import AsJson, print_line, show_json
from service.diagnostics import Diagnostic, Severity
from service.settings import read_settings

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
    configuration = read_settings().taskbell_config
    paths = files or [configuration]
    found = {path: config.check(path, os.environ, configuration) for path in paths}
    faults = [fault for some in found.values() for fault in some]
    if as_json:
        show_json({"fine": not _wrong(faults, strict=strict), "faults": list(map(asdict, faults))})
    else:
        for path, some in found.items():
            _tell(path, some)
    if _wrong(faults, strict=strict):
        raise typer.Exit(1)


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
