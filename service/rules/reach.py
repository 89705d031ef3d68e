"""What the configuration offers to rules: ways to send, and what each account's system can do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from service.actions import NOTIFICATIONS, WRITES


@dataclass(frozen=True, slots=True)
class Way:
    """A configured channel, as far as rules have to know it."""

    needs_target: bool = True
    undoes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an account's system does when asked."""

    system: str
    notifications: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()

    def allow(self, channel: str, target: str) -> bool:
        if channel in WRITES:
            return channel in self.writes
        return channel not in NOTIFICATIONS or (target or channel) in self.notifications


# What is said of a channel that nobody knows: nothing that is only a consequence of that.
ANY_WAY = Way(needs_target=False, undoes=frozenset({"update", "thread", "retract"}))


@dataclass(frozen=True, slots=True)
class Reach:
    """Channels and accounts, by their names.

    `unread` are the parts of the file (`accounts`, `channels`, `hours`) that are no groups of
    names: whatever rules call from there is taken to exist. `has_page` says that people can be
    sent to Taskbell's own page.
    """

    ways: Mapping[str, Way] = field(default_factory=dict)
    accounts: Mapping[str, Abilities | None] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    has_page: bool = True

    def way(self, channel: str) -> Way | None:
        """The configured channel of this name; None if there is none."""
        return self.ways.get(channel, ANY_WAY if "channels" in self.unread else None)

    def notifications(self, accounts: Iterable[str]) -> frozenset[str]:
        """What the systems of these accounts can send."""
        known = (self.accounts.get(account) for account in accounts)
        return frozenset[str]().union(*(one.notifications for one in known if one is not None))

    def refusal(self, account: str, channel: str, target: str) -> str | None:
        """Why an account's system will not do that; None if it will, or nobody knows."""
        abilities = self.accounts.get(account)
        if abilities is None or abilities.allow(channel, target):
            return None
        sends = channel in NOTIFICATIONS
        what = f"send {target or channel}" if sends else channel.replace("_", " ")
        is_closed = channel in WRITES and not abilities.writes
        why = ": its tasks can only be read" if is_closed else ""
        return f"{account} ({abilities.system}) cannot {what}{why}"
