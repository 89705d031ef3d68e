"""`taskbell --version`: what a report of a fault begins with."""

from importlib import metadata

from typer.testing import CliRunner

from service.cli.app import app


def test_the_version_is_told() -> None:
    """It is the one that was installed, and nothing else is done."""
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"taskbell {metadata.version('taskbell')}\n")
