"""The address of Redis, read the same for all connections, which `redis_pool` makes of it.

    redis://[[user]:password@]host[:6379][/0]            rediss:// with TLS
    unix://[user:password@]/path/of/the/socket[?db=0]

Options follow after a question mark. A character with a meaning in addresses is escaped if it is
meant literally, such as %40 for an @ in a password.
"""

from urllib.parse import SplitResult, parse_qs, urlsplit

from service.diagnostics import did_you_mean

SCHEMES = ("redis://", "rediss://", "unix://")
NOT_SUPPORTED = (
    "is not supported: use one Redis or Valkey, or a proxy that leads to the primary. While it is"
    " not available nothing is lost, and messages may be a few seconds late"
)

# Those of redis-py that change how it connects, and nothing that it answers.
_OPTIONS = frozenset(
    {
        "client_name",
        "db",
        "health_check_interval",
        "password",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_timeout",
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "username",
    }
)
_UNREADABLE = (
    "cannot be read: a port is a number up to 65535, and in a user or password @ is written %40,"
    " : is %3A, / is %2F, ? is %3F, # is %23 and % is %25"
)


def demand_usable(url: str) -> None:
    """Raise ValueError with the error in an address, without secrets."""
    if demand_readable(url).query:
        # Only redis-py can say whether options can be used. Importing it takes longer than most
        # commands, which do not use Redis: an address without options is read without it.
        from service.settings.redis_pool import connections  # noqa: PLC0415 (see above)

        connections(url)


def demand_readable(url: str) -> SplitResult:
    """The parts of an address; raises ValueError with the error, without secrets."""
    parts = _split(url)
    _demand_place(parts)
    _demand_known_options(parts)
    return parts


def _split(url: str) -> SplitResult:
    if not url.startswith(SCHEMES):
        scheme, found, _ = url.partition("://")
        if found and ("sentinel" in scheme or "cluster" in scheme):
            raise ValueError(f"{scheme}:// {NOT_SUPPORTED}")
        raise ValueError(f"must begin with one of {', '.join(SCHEMES)}")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # whose own words may quote a part of the password
        raise ValueError(_UNREADABLE) from None
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError(_UNREADABLE)
    return parts


def _demand_place(parts: SplitResult) -> None:
    """Refuse an address that redis-py would misread: it would connect elsewhere."""
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            raise ValueError("must name a socket by its whole path, such as unix:///run/redis.sock")
    elif (database := parts.path.strip("/")) and not database.isdecimal():
        raise ValueError("must name its database by a number, such as /0")


def _demand_known_options(parts: SplitResult) -> None:
    for name in parse_qs(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            hint = did_you_mean(name, _OPTIONS) or f"known options: {', '.join(sorted(_OPTIONS))}"
            raise ValueError(f"has an unknown option {name}; {hint}")
