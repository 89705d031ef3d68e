"""Writes a rule test as YAML, as `reader` reads it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from service.config.rule_tests import Expected, RuleTest, RuleTestStep, Values
from service.config.rule_tests.reader import DELETED
from service.domain.model import DAYS, Customer, Person, Project
from service.domain.system_actions import BARE, WRITES

# Characters; where ruamel breaks a line of a text with control characters, it adds a space.
_LINE = 1_000_000
_FLAGS = frozenset(DAYS.values())


def written(test: RuleTest, zone: ZoneInfo, account_zone: ZoneInfo) -> str:
    """The test as a file that has nothing else.

    Times are in `zone`, that of the configuration; days are those of the account.
    """
    writer = _Writer(zone, account_zone)
    yaml, text = YAML(), StringIO()
    yaml.width = _LINE
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump({"tests": [writer.test(test)]}, text)
    return text.getvalue()


class _Writer:
    def __init__(self, zone: ZoneInfo, account_zone: ZoneInfo) -> None:
        self._zone = zone
        self._account_zone = account_zone

    def test(self, test: RuleTest) -> dict[str, Any]:
        given = [{"id": name, **self._values(values)} for name, values in test.given.items()]
        return {
            "name": test.name,
            "rules": sorted(test.rules),
            "account": test.account,
            "start": self._moment(test.start),
            **({"given": given} if given else {}),
            "steps": [self._step(one) for one in test.steps],
        }

    def _step(self, step: RuleTestStep) -> dict[str, Any]:
        changes = {
            name: DELETED if values is None else self._values(values)
            for name, values in step.changes.items()
        }
        return {
            "at": self._moment(step.at),
            **({"change": changes} if changes else {}),
            **({"signal": dict(step.signals)} if step.signals else {}),
            "expect": [self._expected(one) for one in step.expected or ()],
        }

    def _expected(self, one: Expected) -> dict[str, Any]:
        if one.verb in WRITES:
            fields = {name: self._plain(value) for name, value in (one.fields or {}).items()}
            return {one.verb: True if one.verb in BARE or not fields else fields}
        return {
            one.verb: one.what,
            **({} if one.subject is None else {"subject": one.subject}),
            **({"contains": list(one.contains)} if one.contains else {}),
        }

    def _values(self, values: Values) -> dict[str, Any]:
        """The fields of a task; that a date is a day is said by its form."""
        return {
            name: self._day(value) if values.get(DAYS.get(name, "")) else self._plain(value)
            for name, value in values.items()
            if name not in _FLAGS
        }

    def _day(self, moment: datetime) -> str:
        return moment.astimezone(self._account_zone).date().isoformat()

    def _plain(self, value: Any) -> Any:
        match value:
            case datetime():
                return self._moment(value)
            case Person() | Customer() | Project():
                return _noun(asdict(value))
            case tuple() | list():
                return [self._plain(one) for one in value]
            case Mapping():
                return {name: self._plain(one) for name, one in value.items()}
            case _:
                return value

    def _moment(self, moment: datetime) -> str:
        """A time such as `2026-03-06 16:30`; with its offset if that alone could be another one."""
        there = moment.astimezone(self._zone)
        naive = there.replace(tzinfo=None, fold=0)
        if naive.replace(tzinfo=self._zone).timestamp() != moment.timestamp():
            return there.isoformat(sep=" ")
        text = naive.isoformat(sep=" ")
        return text.removesuffix(":00") if not naive.second and not naive.microsecond else text


def _noun(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A person, customer or project, without what is empty."""
    left = {name: value for name, value in fields.items() if name != "from_directory"}
    return {name: value for name, value in left.items() if value}
