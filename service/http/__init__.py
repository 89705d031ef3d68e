"""Calls to other hosts: the addresses that may be called, and the pauses that answers ask for.

`client` has the HTTP client; `error_messages` says what went wrong.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from errno import EACCES
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

LONGEST_PAUSE = timedelta(days=1)
NO_HOST = "there is no such server: a part of its name is empty or too long"
# What Python's `is_global` lets through although it leads inside: the translators to IPv4
# (Teredo, 6to4, NAT64, SIIT), addresses for documents, segment routing, sites and protocols, and
# Azure's address for metadata.
_LEADS_INSIDE = tuple(
    ip_network(text)
    for text in (
        "2001::/32",
        "2002::/16",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "::/96",
        "::ffff:0:0:0/96",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
    )
)
# Some give a fraction, or the unit as well; two proxies give it twice.
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)(?:\s*s(?:ec(?:onds?)?)?|\s*,\s*\d+)?", re.ASCII)
# Nobody asks for a pause of thirty years: so many seconds are a moment in Unix time.
_FIRST_MOMENT = 1e9


class AddressRefused(OSError):
    """An address in the operator's own network, which the configuration forbids."""

    def __init__(self, address: Address) -> None:
        super().__init__(
            EACCES,
            f"{address} is not a public address; if it is meant, add its range to network.allow",
        )


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The pause that `Retry-After` asks for, in seconds or up to an HTTP date; at most a day.

    A date is compared with the response's own `Date`, if it has one, because the server's clock may
    be wrong. None if there is no such header or it cannot be parsed.
    """
    asked = headers.get("retry-after", "").strip()
    if found := _SECONDS.fullmatch(asked):
        seconds = float(found[1][:12])
        if seconds >= _FIRST_MOMENT:
            seconds = max(seconds - answered_at(headers, now).timestamp(), 0)
        return timedelta(seconds=min(seconds, LONGEST_PAUSE.total_seconds()))
    until = _http_date(asked)
    if until is None:
        return None
    return min(max(until - answered_at(headers, now), timedelta(0)), LONGEST_PAUSE)


def answered_at(headers: Mapping[str, str], now: datetime) -> datetime:
    """When a response was sent by the server's own clock, to which its dates refer."""
    return _http_date(headers.get("date", "")) or now


def can_be_looked_up(host: str) -> bool:
    """Whether a host's name could exist: `api..firm.test` could not, with its empty part."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def is_public(address: Address) -> bool:
    """Whether an address is in the public internet."""
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _LEADS_INSIDE)
    )


def demand_allowed(host: str, allow: Sequence[Network]) -> None:
    """Raise AddressRefused for an address that is not public, unless it is in a range in `allow`.

    An IPv4 address that is written as IPv6 is checked as IPv4.
    """
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if not is_public(address) and not any(address in network for network in allow):
        raise AddressRefused(address)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
