"""`taskbell test`: the rule tests of a configuration, on a virtual clock; nothing is sent."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from service import config
from service.cli.output.console import AsJson, print_line, show_json
from service.errors import TaskbellError
from service.settings import read_settings
from service.simulator.rule_tests import report
from service.simulator.rule_tests.runner import RuleTestResult, RuleTestStage, run

app = typer.Typer()

Junit = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Also write the results as JUnit XML."),
]
Only = Annotated[
    str | None,
    typer.Option("--only", metavar="TEXT", help="Only tests with this text in the name."),
]


Files = Annotated[
    list[Path] | None,
    typer.Argument(
        exists=True,
        show_default="TASKBELL_CONFIG",
        help="YAML files, or folders of them. The tests of a file run with the rules of the same"
        " file; a file with only tests uses the rules of TASKBELL_CONFIG.",
    ),
]


@app.command("test")
def try_rules(
    files: Files = None, *, only: Only = None, junit: Junit = None, as_json: AsJson = False
) -> None:
    """Run the rule tests under `tests:`. No credentials, database or network are needed."""
    configuration = read_settings().taskbell_config
    paths = files or [configuration]
    results = [
        one for path in paths for one in asyncio.run(_run_all(path, configuration, only or ""))
    ]
    if junit is not None:
        _write(junit, report.junit(results))
    if as_json:
        show_json(report.as_json(results))
    else:
        for result in results:
            for line in report.lines(result):
                print_line(line)
        print_line(_summary(results, paths, only))
    if not results or any(one.failures for one in results):
        raise typer.Exit(1)


async def _run_all(path: Path, configuration: Path, only: str) -> list[RuleTestResult]:
    sketch = config.sketch_tests(path, configuration, os.environ)
    stage = RuleTestStage.of(sketch)
    return [await run(trial, stage) for trial in sketch.trials if only in trial.name]


def _write(file: Path, results: bytes) -> None:
    try:
        file.write_bytes(results)
    except OSError as error:
        raise TaskbellError(f"{file} cannot be written: {error.strerror}") from None


def _summary(results: list[RuleTestResult], paths: list[Path], only: str | None) -> str:
    if results:
        return report.summary(results)
    where = ", ".join(str(path) for path in paths)
    if only:
        return f'no test in {where} has "{only}" in its name'
    return f"there are no tests in {where}; how to write them: docs/rules.md"
