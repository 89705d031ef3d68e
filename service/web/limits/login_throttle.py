"""Rate limit for failed logins: per address, per name and in total."""

import math
from collections import OrderedDict
from datetime import datetime, timedelta
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address

import structlog

from service.clock import Clock
from service.web.problems import Problem

log = structlog.get_logger()

OF_ONE = 10  # one is forgotten every six seconds
OF_NAME = 20  # one is forgotten every thirty seconds
OF_ALL = 300  # one is forgotten five times a second
REMEMBERED = 10_000  # addresses, and names, that were wrong; the oldest is forgotten
KNOWN = 1000  # addresses from which the token has come
_OF_ONE_FORGOTTEN, _OF_NAME_FORGOTTEN, _OF_ALL_FORGOTTEN = 1 / 6, 1 / 30, 5.0  # a second
_BETWEEN_LINES = timedelta(minutes=1)


class _Tally:
    """A count that decreases with time."""

    def __init__(self, most: int, falls: float, now: datetime) -> None:
        self._most, self._falls = most, falls
        self._count, self._at = 0.0, now

    def add(self, now: datetime) -> None:
        self._fall(now)
        self._count += 1

    def take_back(self) -> None:
        self._count = max(0.0, self._count - 1)

    def wait(self, now: datetime) -> float:
        """Seconds until there is room for one more."""
        self._fall(now)
        return max(0.0, (self._count + 1 - self._most) / self._falls)

    def _fall(self, now: datetime) -> None:
        # A clock that is set back counts from there on.
        passed = max(0.0, (now - self._at).total_seconds())
        self._count, self._at = max(0.0, self._count - passed * self._falls), now


class LoginThrottle:
    """Counts wrong tokens and passwords in one web process, in bounded memory.

    If all addresses together try too many, for one name or for any, addresses from which somebody
    has signed in are still admitted: an attack from many addresses does not lock out known users.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of_all = _Tally(OF_ALL, _OF_ALL_FORGOTTEN, clock.now())
        self._of_one: OrderedDict[str, _Tally] = OrderedDict()
        self._of_name: OrderedDict[str, _Tally] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._next_line = clock.now()

    def demand_room(self, address: str, name: str = "") -> None:
        """Raise a 429 Problem if this address may not try at the moment, right or wrong.

        `name` is of the user whose password is tried, if it is one.
        """
        now, network = self._clock.now(), _network(address)
        tallies = [self._of_one[network]] if network in self._of_one else []
        if network not in self._known:
            tallies.append(self._of_all)
            tallies += [self._of_name[name]] if name in self._of_name else []
        wait = max((tally.wait(now) for tally in tallies), default=0.0)
        if wait > 0:
            self._tell(address, now)
            raise _too_many(math.ceil(wait))

    def wrong(self, address: str, name: str = "") -> None:
        """Record a wrong token from this address, or a wrong password for this name."""
        now = self._clock.now()
        self._of_all.add(now)
        _add(self._of_one, _network(address), _Tally(OF_ONE, _OF_ONE_FORGOTTEN, now), now)
        if name:
            _add(self._of_name, name, _Tally(OF_NAME, _OF_NAME_FORGOTTEN, now), now)

    def take_back(self, address: str, name: str) -> None:
        """Undo `wrong` for a password that was recorded as wrong before it was checked."""
        tallies = (self._of_one.get(_network(address)), self._of_name.get(name), self._of_all)
        for tally in filter(None, tallies):
            tally.take_back()

    def right(self, address: str) -> None:
        """Record that somebody was recognized at this address."""
        network = _network(address)
        self._known[network] = None
        self._known.move_to_end(network)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)

    def _tell(self, address: str, now: datetime) -> None:
        if now >= self._next_line:
            log.warning("auth.throttled", address=_network(address))
            self._next_line = now + _BETWEEN_LINES


def _add(tallies: OrderedDict[str, _Tally], key: str, new: _Tally, now: datetime) -> None:
    tallies.setdefault(key, new).add(now)
    tallies.move_to_end(key)
    if len(tallies) > REMEMBERED:
        tallies.popitem(last=False)


def _network(address: str) -> str:
    """An address; for IPv6 the network of one customer. All invalid ones are the same."""
    try:
        read = ip_address(address)
    except ValueError:
        return ""
    if isinstance(read, IPv6Address):
        mapped = read.ipv4_mapped
        return str(mapped or IPv6Address(int(read) >> 64 << 64))
    return str(read)


def _too_many(seconds: int) -> Problem:
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"Too many wrong tokens or passwords were tried; try again in {seconds} seconds",
        headers={"Retry-After": str(seconds)},
    )
