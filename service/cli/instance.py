"""Finds the running Taskbell that a command in another terminal belongs to."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import orjson

from service.errors import TaskbellError
from service.processes import embedded
from service.settings import Settings

_KEPT = "addresses.json"
_ADDRESSES = ("SANDBOX_URL", "SANDBOX_SMTP", "PLANNR_SIGNING_SECRET", "TASKBELL_URL")


class NoInstance(TaskbellError):
    """No database is set and no Taskbell has stored anything here; says where to go."""

    def __init__(self, data: Path) -> None:
        super().__init__(
            f"There is no Taskbell in {data.resolve()}, and DATABASE_URL is not set."
            " Go to the folder where Taskbell was started, or set DATABASE_URL or TASKBELL_DATA"
            " as they were set there."
        )


def demo_data(data: Path) -> Path:
    """The demo's data folder, below the data folder of the real Taskbell."""
    return data / "demo"


def demo_configuration() -> Path:
    """The rules of the demo, and their test environment."""
    return Path(str(resources.files("service.sandbox") / "demo.yaml"))


def keep_addresses(data: Path, environ: Mapping[str, str]) -> None:
    """Store the environment of the demo's configuration, for other commands."""
    kept = {name: environ[name] for name in _ADDRESSES}
    file = data / _KEPT
    file.touch(mode=0o600)
    file.write_bytes(orjson.dumps(kept))


def environ_of(settings: Settings, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of the configuration: the demo's has additional addresses."""
    if settings.taskbell_config != demo_configuration():
        return environ
    try:
        return {**environ, **orjson.loads((settings.taskbell_data / _KEPT).read_bytes())}
    except (OSError, orjson.JSONDecodeError):
        return environ


def at_work(settings: Settings) -> Settings:
    """The settings of the running Taskbell in this folder; the given ones if there is none."""
    try:
        found = find(settings)
    except NoInstance:
        return settings
    is_demo = found.taskbell_data != settings.taskbell_data
    return found if is_demo and embedded.is_at_work(found.taskbell_data) else settings


def find(settings: Settings) -> Settings:
    """The settings of the running Taskbell in this folder, or of the one that ran last.

    If they name a database, that one is used. The demo is found as well as the real one, with its
    own configuration. Raises NoInstance.
    """
    if settings.database_url is not None:
        return settings
    data = settings.taskbell_data
    demo = {"taskbell_data": demo_data(data), "taskbell_config": demo_configuration()}
    for is_here in (embedded.is_at_work, embedded.has_data):
        if is_here(data):
            return settings
        if is_here(demo_data(data)):
            return settings.model_copy(update=demo)
    raise NoInstance(settings.taskbell_data)
