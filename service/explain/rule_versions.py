"""The rules that an explanation needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.rules.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class RuleVersions:
    """The rules of the file (`now`), and by version those that made decisions (`then`)."""

    now: Ruleset
    then: Mapping[str, Ruleset]
