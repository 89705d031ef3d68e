"""Silences in rule tests: their period and their scopes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from service.config.rule_tests.tasks import Id, Moment, local
from service.diagnostics import Issue, Path
from service.document.validation import Shape
from service.domain.operators.silences import SCOPES, Silence

_REASON = "the test says so"


class SilenceShape(Shape):
    """A silence: suppresses matching messages from `from`, or the test's start, to `until`."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"until": "2199-01-01 00:00"}

    begins: Moment | None = Field(None, alias="from")
    until: Moment
    reason: str = _REASON
    rule: str | None = None
    person: str | None = None
    customer: Id | None = None
    project: Id | None = None
    account: str | None = None

    @property
    def scopes(self) -> dict[str, str]:
        """The scopes that are given."""
        said = {scope: getattr(self, scope) for scope in SCOPES}
        return {scope: value for scope, value in said.items() if value is not None}

    def silence(self, number: int, start: datetime, zone: ZoneInfo) -> Silence:
        """The silence; dates without a zone are in `zone`."""
        begins = start if self.begins is None else local(self.begins, zone)
        ends = local(self.until, zone)
        return Silence(
            number, begins.astimezone(UTC), ends.astimezone(UTC), self.reason, **self.scopes
        )


def silence_faults(silence: Silence, scopes: Mapping[str, str], path: Path) -> list[Issue]:
    """The problems with its times, or with its scopes."""
    faults = []
    if silence.ends_at <= silence.created_at:
        faults.append(Issue((*path, "until"), "this silence ends before it starts"))
    if not scopes:
        hint = f"add one or more of {', '.join(SCOPES)}"
        faults.append(Issue(path, "this silence covers nothing", hint))
    return faults
