"""`taskbell doctor`: finds problems and suggests fixes."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from service import config
from service.cli.doctor.findings import AccountHealth, Finding, fine, note, tell, wrong
from service.cli.doctor.local import examine_database, examine_doorbell
from service.cli.doctor.remote import examine
from service.cli.doctor.subscribe import subscribe as subscribe_to
from service.cli.instance import NoInstance, at_work, environ_of, find
from service.cli.output.console import AsJson, show_json
from service.clock import SystemClock
from service.config import Config
from service.errors import CannotStart, ConfigError, SettingsError
from service.processes import embedded
from service.settings import Settings, read_settings
from service.telemetry import log

app = typer.Typer()


@app.command()
def doctor(
    *,
    subscribe: Annotated[
        str | None,
        typer.Option(
            metavar="ACCOUNT", help="Set up webhooks from this account's system to Taskbell."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="With --subscribe: the public address of Taskbell.")
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(resolve_path=True, help="With --subscribe: the file for the signing secret."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, database, Redis, workers, accounts and channels. Sends no message.

    --subscribe instead registers Taskbell's webhook with an account's system and writes the
    signing secret to --secret-file.
    """
    if subscribe is None:
        findings = _findings()
    elif url is None or secret_file is None:
        raise typer.BadParameter("--subscribe needs --url and --secret-file")
    else:
        findings = _subscribed(subscribe, url, secret_file)
    healthy = all(finding.verdict is not AccountHealth.WRONG for finding in findings)
    if as_json:
        show_json({"fine": healthy, "findings": list(map(asdict, findings))})
    else:
        tell(findings)
    if not healthy:
        raise typer.Exit(1)


def _findings() -> list[Finding]:
    try:
        settings = read_settings()
    except SettingsError as error:
        return [wrong("settings", str(error), "correct the environment in which Taskbell starts")]
    log.configure(settings)
    configuration, found = _configuration(at_work(settings))
    inside = [fine("settings", "they can be read"), *_inside(settings, configuration)]
    outside = uvloop.run(examine(configuration, SystemClock())) if configuration else []
    return [*inside, *found, *outside]


def _subscribed(account: str, url: str, secret_file: Path) -> list[Finding]:
    settings = read_settings()
    log.configure(settings)
    configuration = config.load(settings.taskbell_config, os.environ)
    return [uvloop.run(subscribe_to(configuration, account, url, secret_file))]


def _inside(settings: Settings, configuration: Config | None) -> list[Finding]:
    try:
        settings = find(settings)
        with embedded.database(settings) as (url, _):
            database = uvloop.run(examine_database(url, configuration))
    except NoInstance as error:
        database = [wrong("database", str(error), "or start Taskbell here: `taskbell serve`")]
    except CannotStart as error:
        database = [wrong("database", str(error), "check its log, or set DATABASE_URL")]
    return [*database, *uvloop.run(examine_doorbell(settings))]


def _configuration(settings: Settings) -> tuple[Config | None, list[Finding]]:
    path, subject = settings.taskbell_config, "configuration"
    if not path.exists():
        advice = "write one, or set TASKBELL_CONFIG; until then `taskbell serve` runs the demo"
        return None, [wrong(subject, f"there is no {path}", advice)]
    try:
        found = config.load(path, environ_of(settings, os.environ))
    except ConfigError as error:
        says = f"{path} has errors ({len(error.faults)}): {_first(error)}"
        return None, [wrong(subject, says, f"see them all with `taskbell check {path}`")]
    if found.warnings:
        says = f"{path} can be used, with warnings ({len(found.warnings)})"
        return found, [note(subject, says, f"see them with `taskbell check {path}`")]
    return found, [fine(subject, f"{path} has no errors")]


def _first(error: ConfigError) -> str:
    return str(error.faults[0]).partition("\n")[0]
