"""Who acts: a person or a program, what they may do, and from where."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person may do; each role may do what the roles before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, needed: "Role") -> bool:
        """Whether this role may do what the other one may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who acts, with the name under which their decisions are stored.

    `address` is the network address that they come from; it is empty at the command line.
    """

    name: str
    role: Role = Role.VIEWER
    address: str = ""

    def __str__(self) -> str:
        return self.name


def with_reason(said: str, reason: str | None) -> str:
    """The action, with the reason if there is one."""
    return f"{said}: {reason}" if reason else said
