"""The pydantic models of a rule test in the file; list entries are validated one by one."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from service.config.rule_tests.tasks import Moment
from service.document.validation import Shape
from service.rules.compiler.shapes import one_or_many


class TrialStepShape(Shape):
    """One moment of a test."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"at": "2000-01-01 00:00"}

    at: Moment
    change: dict[str, Any] = Field(default_factory=dict)
    signal: dict[str, str] = Field(default_factory=dict)
    fails: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = ()
    expect: tuple[Any, ...] | None = None


class TrialShape(Shape):
    """One test.

    Without `rules`, of all that are switched on; without `account`, with tasks of the first.
    """

    stand_ins: ClassVar[Mapping[str, Any]] = {
        "name": "unread",
        "start": "2000-01-01 00:00",
        "steps": [{"at": "2000-01-01 00:00"}],
    }

    name: Annotated[str, Field(min_length=1)]
    start: Moment
    rules: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    account: str | None = None
    given: tuple[Any, ...] = ()
    silences: tuple[Any, ...] = ()
    steps: Annotated[tuple[Any, ...], Field(min_length=1)]
