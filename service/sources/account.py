"""The options that accounts of all systems have: address, credentials, webhooks."""

from collections.abc import Mapping
from datetime import time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from service.http import NO_HOST, can_be_looked_up
from service.http.signatures import NoScheme, SignatureScheme, schemes
from service.settings import keys
from service.sources import task_links

if TYPE_CHECKING:
    SchemeName: TypeAlias = str
else:
    SchemeName = Literal[tuple(schemes())]

_Secret: TypeAlias = SecretStr | tuple[SecretStr, ...] | None


def _sendable(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be printable ASCII, or it cannot be sent; copy it again")
    return text


HeaderText: TypeAlias = Annotated[str, AfterValidator(_sendable)]
"""A text that is sent in a header: printable ASCII."""
SHORTEST_POLL = timedelta(seconds=1)
_USUAL_PORTS = {"http": 80, "https": 443}


def _normalised(url: str) -> str | None:
    """An address in a form that does not depend on its notation; None if it is not an address."""
    try:
        parts = urlsplit(url)
        port = parts.port or _USUAL_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')}"


class HookOptions(BaseModel):
    """How an account's incoming webhooks are proved genuine.

    With `none`, which has to be said, nothing is. There may be two secrets while one is being
    replaced. For `standard` they are base64, with or without the prefix whsec_, as Standard
    Webhooks has it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    verify: SchemeName
    secret: _Secret = Field(None, validate_default=True)

    @field_validator("secret")
    @classmethod
    def _is_what_verify_needs(cls, secret: _Secret, info: ValidationInfo) -> _Secret:
        verify = info.data.get("verify", NoScheme.name)
        if verify != NoScheme.name:
            found = _keys(schemes()[verify], secret)
            if not all(found or (b"",)):
                raise ValueError(f"verify: {verify} needs a secret")
            for key in found:
                keys.demand_long("secret", key)
        return secret

    @property
    def is_signed(self) -> bool:
        """Whether webhooks are authenticated."""
        return self.verify != NoScheme.name

    @property
    def scheme(self) -> SignatureScheme:
        return schemes()[self.verify]

    @cached_property
    def keys(self) -> tuple[bytes, ...]:
        """The secrets as bytes."""
        return _keys(self.scheme, self.secret)


def _keys(scheme: SignatureScheme, secret: _Secret) -> tuple[bytes, ...]:
    """The secrets as bytes; ValueError for one that the scheme cannot decode."""
    given = secret if isinstance(secret, tuple) else (secret,)
    return tuple(scheme.key(one.get_secret_value()) for one in given if one is not None)


def written(names: Mapping[str, str]) -> str:
    """Names as `Account.read_by` has them; nothing if there are none."""
    return "".join(f" {name}={own}" for name, own in names.items())


class Account(BaseModel):
    """One connection to a system: what every system's options have in common.

    `per_minute` is how many calls Taskbell makes at most, `timeout` the longest that one takes,
    `max_pages` where reading a list is given up, `stretch` how many times as long as `poll` polls
    may be apart while webhooks come. `due_by` is the time of day at which a task with only a due
    day is due. `midnight_is_day` is true if the system writes 00:00 for a date without a time.
    `url` is the address of a task's page, with `{id}` and others of `link_fields`.
    A system with options of its own derives from this and names the class in `Source.options`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The options that say, beside the address, whose data an account sees.
    tenant_options: ClassVar[tuple[str, ...]] = ()
    # The fields of a task that `url` can name; the system fills them.
    link_fields: ClassVar[tuple[str, ...]] = ("id", "customer.id")

    name: str
    system: str
    base_url: str
    token: SecretStr
    timezone: ZoneInfo | None = None
    poll: timedelta = timedelta(minutes=1)
    full_scan: timedelta = timedelta(hours=1)
    stretch: float = Field(default=5, ge=1, le=100)
    per_minute: int = Field(default=120, ge=1)
    timeout: timedelta = timedelta(minutes=1)
    max_pages: int = Field(default=10_000, ge=1)
    due_by: time = time(23, 59, 59)
    midnight_is_day: bool = False
    url: str | None = None
    webhook: HookOptions | None = None

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, base_url: str) -> str:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address that begins with https:// or http://")
        if not can_be_looked_up(parts.hostname):
            raise ValueError(NO_HOST)
        if "@" in parts.netloc or parts.query:
            raise ValueError("must be an address without user, password and query")
        return base_url

    @field_validator("token")
    @classmethod
    def _can_be_sent(cls, token: SecretStr) -> SecretStr:
        _sendable(token.get_secret_value())
        return token

    @field_validator("url")
    @classmethod
    def _is_a_pattern(cls, url: str | None) -> str | None:
        if url is not None:
            task_links.check(url, cls.link_fields)
        return url

    @field_validator("timeout")
    @classmethod
    def _leaves_time(cls, timeout: timedelta) -> timedelta:
        if timeout <= timedelta(0):
            raise ValueError("timeout must be at least 1s")
        return timeout

    @field_validator("poll")
    @classmethod
    def _is_not_too_often(cls, poll: timedelta) -> timedelta:
        if poll < SHORTEST_POLL:
            raise ValueError("poll must be at least 1s")
        return poll

    @classmethod
    def tenant(cls, written: Mapping[str, Any]) -> str | None:
        """A key for the data that an account with these options reads.

        It is equal for two accounts that read the same data. None if the options do not show it:
        then the token decides.
        """
        options = [str(written.get(name) or "").casefold() for name in cls.tenant_options]
        address = _normalised(str(written.get("base_url")))
        if not options or not all(options) or address is None:
            return None
        return " ".join([str(written.get("system")), address, *options])

    @property
    def links(self) -> str | None:
        """The pattern of the addresses of tasks' pages; None if it is not known."""
        return self.url

    @property
    def read_by(self) -> str:
        """The options by which a task is read: if they change, every task is read again."""
        return self.links or ""

    @property
    def has_signed_webhooks(self) -> bool:
        """Whether webhooks come that only the system can have sent."""
        return self.webhook is not None and self.webhook.is_signed

    def headers(self) -> Mapping[str, str]:
        """What every request carries: the credentials and the format asked for."""
        return {
            "Authorization": f"Bearer {self.token.get_secret_value()}",
            "Accept": "application/json",
        }
