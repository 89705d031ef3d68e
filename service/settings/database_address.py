"""The address of the database: which parts are used, and which asyncpg must not get.

    postgresql://[user[:password]@][host[:port],…][/database][?name=value&…]

A character with a meaning in addresses is escaped if it is meant literally, such as %40 for an @ in
a password. The parameters are libpq's. asyncpg sends parameters that it does not know to the
server, which refuses the connection if it does not know them, either.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from service.regular_file import read_regular

SCHEMES = ("postgresql://", "postgres://")

_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# libpq's own that mean nothing to asyncpg, and other libraries' options for poolers, which
# Taskbell finds by itself.
_MEANINGLESS = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connection_limit",
        "gssdelegation",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "pgbouncer",
        "pool_timeout",
        "prepareThreshold",
        "prepared_statements",
        "replication",
        "require_auth",
        "requirepeer",
        "requiressl",
        "sslcertmode",
        "sslcompression",
        "sslcrldir",
        "sslsni",
        "statement_cache_size",
        "tcp_user_timeout",
    }
)
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": (
        "any",
        "primary",
        "standby",
        "read-write",
        "read-only",
        "prefer-standby",
    ),
}
# Other libraries' options for a pooler that assigns each transaction to another session.
_POOLED = {"pgbouncer": "true", "statement_cache_size": "0"}
# By other names than asyncpg has for them; what is given by the latter counts.
_RENAMED = {"hostaddr": "host", "fallback_application_name": "application_name"}
_UNREADABLE = (
    "cannot be read: in a user or password @ is written %40, / is %2F, ? is %3F, # is %23 and % is"
    " %25, and a port is a number up to 65535"
)
_HOST = re.compile(r"(?P<name>\[[^\]]+\]|[^:\[\]]*)(:(?P<port>\d*))?")
_DEFAULT_PORT, _LAST_PORT = "5432", 65535
THIS_MACHINE = "this machine"
_LONGEST_CONNECT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Address:
    """An address as asyncpg takes it: `url`, and how many seconds connecting may take.

    - `place`: the host and port, for messages
    - `is_pooled`: it is known to lead to a pooler
    - `ignored`: the parameters that have no effect here
    """

    url: str
    timeout: float
    place: str
    is_pooled: bool
    ignored: tuple[str, ...]


def read_address(url: str) -> Address:
    """Parse an address; raises ValueError with the error, without secrets."""
    parts = _split(url)
    given = _parameters(parts.query)
    _demand_choices(given)
    _demand_files(given)
    timeout = _timeout(given.pop("connect_timeout", "0"))
    ignored = given.keys() & _MEANINGLESS
    taken = {name: value for name, value in given.items() if name not in ignored}
    return Address(
        url=urlunsplit(parts._replace(query=urlencode(taken))),
        timeout=timeout,
        place=_place(parts, taken),
        is_pooled=any(given.get(name) == value for name, value in _POOLED.items()),
        ignored=tuple(sorted(ignored - _POOLED.keys())),
    )


def _split(url: str) -> SplitResult:
    if not url.startswith(SCHEMES):
        raise ValueError(f"must begin with one of {', '.join(SCHEMES)}")
    try:
        parts = urlsplit(url)
    except ValueError:  # whose own words may quote a part of the password
        raise ValueError(_UNREADABLE) from None
    user, _, hosts = parts.netloc.rpartition("@")
    if parts.fragment or "@" in user + parts.path + parts.query or not _are_hosts(hosts):
        raise ValueError(_UNREADABLE)
    return parts


def _are_hosts(hosts: str) -> bool:
    found = [_HOST.fullmatch(unquote(host)) for host in hosts.split(",")]
    return all(one is not None and int(one["port"] or "0") <= _LAST_PORT for one in found)


def _parameters(query: str) -> dict[str, str]:
    try:
        given = dict(parse_qsl(query, strict_parsing=bool(query)))
    except ValueError:
        raise ValueError("must end with ?name=value, further ones after &") from None
    for name, known in _RENAMED.items():
        if name in given:
            given.setdefault(known, given.pop(name))
    return given


def _demand_choices(given: Mapping[str, str]) -> None:
    for name, choices in _CHOICES.items():
        if given.get(name, choices[0]) not in choices:
            raise ValueError(f"has an unknown {name}; it must be one of {', '.join(choices)}")


def _demand_files(given: Mapping[str, str]) -> None:
    for name in _FILES:
        if path := given.get(name):
            _demand_file(name, path)


def _demand_file(name: str, path: str) -> None:
    """Require a regular file, which does not block: asyncpg reads it in the event loop."""
    try:
        read_regular(Path(path), 1)
    except OSError as error:
        hint = (
            "; name the file with the system's authorities, such as"
            " /etc/ssl/certs/ca-certificates.crt"
            if path == "system"
            else ""
        )
        said = f"names a file in {name} that cannot be read: {path}: {error.strerror}{hint}"
        raise ValueError(said) from None


def _timeout(given: str) -> float:
    if not given.isdecimal():
        raise ValueError("has a connect_timeout that is not a whole number of seconds")
    return float(given) or _LONGEST_CONNECT


def _place(parts: SplitResult, taken: Mapping[str, str]) -> str:
    """The hosts and ports, such as `db1:5432, db2:5432`; without defaults from the environment."""
    hosts = parts.netloc.rpartition("@")[2] or taken.get("host", "")
    ports = taken.get("port", _DEFAULT_PORT).split(",")
    places = []
    for number, host in enumerate(hosts.split(",")):
        found = _HOST.fullmatch(unquote(host))
        name, port = (found["name"], found["port"]) if found else (host, None)
        places.append(f"{name or THIS_MACHINE}:{port or ports[min(number, len(ports) - 1)]}")
    return ", ".join(places)
