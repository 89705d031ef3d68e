"""Database error messages for people: what is wrong and what to do, without secrets."""

import ssl
from collections.abc import Mapping
from socket import gaierror

from asyncpg import exceptions

from service.errors import TaskbellError
from service.settings.database_address import THIS_MACHINE

_CHECK = "Check that it is running there and that DATABASE_URL is correct."
_CORRECT = "Correct DATABASE_URL."
_PRIMARY = (
    "Set DATABASE_URL to the primary, or to all servers and ?target_session_attrs=read-write; check"
    " whether its disk is full, and whether default_transaction_read_only is on."
)
_GRANT = (
    "As its owner: GRANT CREATE, USAGE ON SCHEMA public TO the user in DATABASE_URL, for whom"
    " `taskbell migrate` makes the tables; or run that as another user, and grant this one all on"
    " them."
)
# What to do, where the server's own words say well what is wrong. The first that fits counts.
_ADVICE: Mapping[type[Exception], str] = {
    exceptions.InvalidPasswordError: _CORRECT,
    exceptions.InvalidAuthorizationSpecificationError: (
        "Correct DATABASE_URL, or let the user in (CREATE ROLE, pg_hba.conf)."
    ),
    exceptions.InvalidCatalogNameError: (
        "Correct DATABASE_URL, or create the database: createdb --encoding=UTF8 NAME"
    ),
    exceptions.TooManyConnectionsError: (
        "Raise its max_connections, or the limit of the role or database; each worker takes up to"
        " 10, the web process 6."
    ),
    exceptions.InsufficientPrivilegeError: _GRANT,
    exceptions.InvalidSchemaNameError: _GRANT,
    exceptions.ReadOnlySQLTransactionError: _PRIMARY,
    exceptions.TargetServerAttributeNotMatched: _PRIMARY,
    exceptions.DiskFullError: "Free disk space where PostgreSQL keeps its files.",
    exceptions.UndefinedObjectError: (
        "A parameter in DATABASE_URL that libpq does not know is sent to the server as a setting."
    ),
    exceptions.ClientConfigurationError: (
        "Correct DATABASE_URL; ?sslrootcert=FILE is the file of trusted authorities, such as"
        " /etc/ssl/certs/ca-certificates.crt."
    ),
    ssl.SSLCertVerificationError: (
        "Set the file of trusted authorities (?sslrootcert=FILE), and write the server's name as it"
        " is in the certificate."
    ),
}
# Where the library's words do not.
_WORDS: Mapping[type[Exception], str] = {
    ConnectionRefusedError: "the connection was refused",
    FileNotFoundError: "it is not running",  # where its socket would be
    TimeoutError: "it does not answer in time",
    gaierror: "there is no server of this name",
    exceptions.TargetServerAttributeNotMatched: (
        "none of its servers is of the kind that target_session_attrs requires"
    ),
}


class DatabaseUnreachable(TaskbellError):
    """The database cannot be used; the message says where and why, without the password."""


def unreachable(place: str, error: Exception) -> DatabaseUnreachable:
    """The DatabaseUnreachable to raise for this error of the database at that place."""
    return DatabaseUnreachable(
        f"PostgreSQL at {place} cannot be used: {_reason(place, error)}. {advice(error)}"
    )


def advice(error: Exception) -> str:
    """What to do about it."""
    return next((does for kind, does in _ADVICE.items() if isinstance(error, kind)), _CHECK)


def _reason(place: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and not place.startswith((THIS_MACHINE, "/")):
        return "a certificate file named in the address or the environment does not exist"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection could be made: {error.reason}"
    first, _, _ = str(error).partition("\n")
    says = (words for kind, words in _WORDS.items() if isinstance(error, kind))
    return next(says, first.rstrip("."))
