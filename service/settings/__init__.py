"""The settings in the environment. All errors are reported together, before anything starts."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from errno import EFBIG
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from service.document.messages import line
from service.domain.durations import Length
from service.errors import SettingsError
from service.regular_file import read_regular
from service.settings import keys
from service.settings.database_address import read_address
from service.settings.redis_address import demand_usable

_LARGEST_VALUE = 64 * 1024  # bytes of a file that holds one setting
# The first parts of Taskbell's own paths: a prefix that begins with one would be ambiguous.
_OWN = (
    *("api", "approvals", "deliveries", "hooks", "silences", "static", "storms"),
    *("unsubscribe", "webhooks"),
)
_IN_FRONT = re.compile(rf"((?!/({'|'.join(_OWN)})(/|$))(/[\w-]+)+)?", re.ASCII)
_KEPT = (
    "taskbell_keep_receipts",
    "taskbell_keep_decisions",
    "taskbell_keep_deliveries",
    "taskbell_keep_events",
    "taskbell_keep_deleted_tasks",
)


class Settings(BaseModel):
    """The process's settings; see the tables in README.md and docs/configuration.md."""

    model_config = ConfigDict(frozen=True)

    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    taskbell_config: Path = Path("taskbell.yaml")
    taskbell_data: Path = Path(".taskbell")
    taskbell_admin_token: SecretStr | None = None
    taskbell_url: str | None = None
    taskbell_open_door: bool = False
    taskbell_inbox: str | None = None
    taskbell_edit: Literal["off", "on"] = "off"
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    workers: int = Field(default=2, ge=1)
    ps: str = "worker.1"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "console"
    taskbell_keep_receipts: Length = timedelta(days=14)
    taskbell_keep_decisions: Length = timedelta(days=365)
    taskbell_keep_deliveries: Length = timedelta(days=365)
    taskbell_keep_events: Length = Field(default=timedelta(days=395), validate_default=True)
    taskbell_keep_deleted_tasks: Length = timedelta(days=365)

    @field_validator("taskbell_admin_token")
    @classmethod
    def _is_long(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None:
            keys.demand_long("the token", token.get_secret_value())
        return token

    @field_validator("host")
    @classmethod
    def _is_guarded(cls, host: str, info: ValidationInfo) -> str:
        if not is_loopback(host) and info.data.get("taskbell_admin_token", "faulty") is None:
            raise ValueError(
                f"{host} can be reached by others, and TASKBELL_ADMIN_TOKEN is not set. Set the"
                " token, or set HOST to 127.0.0.1"
            )
        return host

    @field_validator("taskbell_inbox", "taskbell_url")
    @classmethod
    def _is_web_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url

    @field_validator("taskbell_url")
    @classmethod
    def _has_path_in_front(cls, url: str | None) -> str | None:
        if url is not None and not _IN_FRONT.fullmatch(_path_of(url)):
            raise ValueError(
                "may have a path in front of Taskbell's own, such as /taskbell, of letters, digits,"
                f" - and _, which begins with none of {', '.join(_OWN)}, and nothing after it"
            )
        return url

    @field_validator(*_KEPT)
    @classmethod
    def _is_a_day_or_more(cls, age: timedelta) -> timedelta:
        if age < timedelta(days=1):
            raise ValueError("must be one day or more")
        return age

    @field_validator("taskbell_keep_events")
    @classmethod
    def _outlives_deliveries(cls, age: timedelta, info: ValidationInfo) -> timedelta:
        deliveries = info.data.get("taskbell_keep_deliveries")
        if deliveries is not None and age < deliveries:
            raise ValueError(
                f"must be at least {deliveries.days} days, the time for which deliveries are kept"
                " (TASKBELL_KEEP_DELIVERIES)"
            )
        return age

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            read_address(url.get_secret_value())
        return url

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            demand_usable(url.get_secret_value())
        return url

    @property
    def is_first_worker(self) -> bool:
        """Whether this worker is the first of several, or the only one."""
        return self.ps.rpartition(".")[2] in {"1", "worker"}

    @property
    def database(self) -> str:
        """The database's address; SettingsError if there is none."""
        return _demand("DATABASE_URL", self.database_url)

    @property
    def redis(self) -> str:
        """The address of Redis; SettingsError if there is none."""
        return _demand("REDIS_URL", self.redis_url)

    @property
    def root_path(self) -> str:
        """The path in front of Taskbell's own, such as /taskbell, where there is one."""
        return _path_of(self.taskbell_url or "")

    @property
    def saves_edits(self) -> bool:
        """Whether the rule editor of the page may save files of the configuration."""
        return self.taskbell_edit == "on"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environ` (default: the process's own).

    A setting `NAME` may also be given as `NAME_FILE`, the path of a file with its value. Raises
    SettingsError with every error.
    """
    given = os.environ if environ is None else environ
    values, faults = {}, []
    for name in Settings.model_fields:
        try:
            value = _value(given, name.upper())
        except OSError as error:
            faults.append(f"{name.upper()}_FILE: {error.strerror}: {error.filename}")
            continue
        except UnicodeDecodeError:
            faults.append(f"{name.upper()}_FILE: the file is not text in UTF-8")
            continue
        if value:
            values[name] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults += [line(_name(fault), fault) for fault in error.errors()]
    if faults:
        raise SettingsError(
            "The settings have errors:\n" + "\n".join(f"  {fault}" for fault in faults)
        )
    return settings


def _path_of(url: str) -> str:
    """The part after the host, without a slash at the end."""
    _, slash, path = url.partition("://")[2].rstrip("/").partition("/")
    return slash + path


def _demand(name: str, value: SecretStr | None) -> str:
    if value is None:
        raise SettingsError(f"{name} is not set. Set it, or start Taskbell with `taskbell serve`")
    return value.get_secret_value()


def _name(fault: ErrorDetails) -> str:
    return ".".join(str(part) for part in fault["loc"]).upper()


def _value(environ: Mapping[str, str], name: str) -> str | None:
    path = environ.get(f"{name}_FILE")
    if not path:
        return environ.get(name)
    found = read_regular(Path(path), _LARGEST_VALUE + 1)
    if len(found) > _LARGEST_VALUE:
        raise OSError(EFBIG, f"the file has more than {_LARGEST_VALUE} bytes", path)
    return found.decode().strip()


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
