"""What rules can use: the configured channels, and the capabilities of each account's system."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from service.domain.system_actions import NOTIFICATIONS, WRITES
from service.sources.facts import Facts


def _no_problem(target: str) -> str | None:
    del target
    return None


@dataclass(frozen=True, slots=True)
class ChannelCapabilities:
    """A configured channel as rules need to know it.

    - `undoes`: its ways of `on_undo`
    - `longest`: how many characters of a text fit
    - `attaches`: what can go with a message
    - `target_problem`: why nothing can be sent to a target, or None
    - `tells_who`: the channel tells who has pressed a button in it
    """

    needs_target: bool = True
    needs_text: bool = True
    undoes: frozenset[str] = frozenset()
    longest: int | None = None
    target_problem: Callable[[str], str | None] = _no_problem
    attaches: frozenset[str] = frozenset()
    tells_who: bool = False


@dataclass(frozen=True, slots=True)
class SystemCapabilities:
    """The notifications that an account's system sends, and the writes that it accepts.

    - `lacking`: for each unavailable write, the account option that would enable it
    - `tenant`: whose data the account reads, if its options say so
    - `facts`: which fields of its tasks the account fills, if that is known
    """

    system: str
    notifications: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    lacking: Mapping[str, str] = field(default_factory=dict)
    tenant: str | None = None
    facts: Facts | None = None

    def allow(self, channel: str, target: str) -> bool:
        if channel in WRITES:
            return channel in self.writes and channel not in self.lacking
        return channel not in NOTIFICATIONS or (target or channel) in self.notifications


# Stands for an unknown channel: that is one problem, and should not be reported as several.
UNKNOWN_CHANNEL = ChannelCapabilities(
    needs_target=False,
    needs_text=False,
    undoes=frozenset({"update", "thread", "retract"}),
    attaches=frozenset({"visit"}),
    tells_who=True,
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Channels and accounts, by their names.

    - `unread`: the parts of the file (`accounts`, `channels`, `hours`) that could not be read;
      every name in them is assumed to exist
    - `told`: the task fields that at least one system provides
    - `given`: what the directory of people has of any person, such as `email`
    - `has_page`: whether TASKBELL_URL is known, so that messages can link to Taskbell's page
    - `has_contact_hours`: whether customers get messages at certain hours only, by any rule
    """

    ways: Mapping[str, ChannelCapabilities] = field(default_factory=dict)
    accounts: Mapping[str, SystemCapabilities | None] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    has_page: bool = True
    has_contact_hours: bool = False

    def way(self, channel: str) -> ChannelCapabilities | None:
        """The configured channel of this name; None if there is none."""
        return self.ways.get(channel, UNKNOWN_CHANNEL if "channels" in self.unread else None)

    def notifications(self, accounts: Iterable[str]) -> frozenset[str]:
        """The notifications that at least one of these accounts' systems can send."""
        known = (self.accounts.get(account) for account in accounts)
        return frozenset[str]().union(*(one.notifications for one in known if one is not None))

    def tenant(self, account: str) -> str:
        """The owner of the data that an account reads: the same for accounts with the same data."""
        abilities = self.accounts.get(account)
        return (abilities and abilities.tenant) or account

    def refusal(self, account: str, channel: str, target: str) -> str | None:
        """Why an account's system cannot do that; None if it can, or if that is not known."""
        abilities = self.accounts.get(account)
        if abilities is None or abilities.allow(channel, target):
            return None
        sends = channel in NOTIFICATIONS
        what = f"send {target or channel}" if sends else channel.replace("_", " ")
        option = abilities.lacking.get(channel)
        if option is not None:
            return f"{account} ({abilities.system}) cannot {what}: the account needs {option}"
        is_closed = channel in WRITES and not abilities.writes
        why = ": its tasks can only be read" if is_closed else ""
        return f"{account} ({abilities.system}) cannot {what}{why}"
