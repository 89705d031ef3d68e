"""Who acts: a person or a program, what they may do, and from where."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, needed: "Role") -> bool:
        """Whether this role may do what the other one may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who does something, by the name that their decisions are stored with.

    `address` is the network address that they come from; it is empty at the command line.
    """

    name: str
    role: Role = Role.VIEWER
    address: str = ""

    def __str__(self) -> str:
        return self.name


def with_reason(said: str, reason: str | None) -> str:
    """What somebody did, and the reason that they gave, if they gave one."""
    return f"{said}: {reason}" if reason else said
