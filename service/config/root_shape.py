"""Pydantic model of the top level of a configuration; sections are validated separately."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from service.diagnostics import refused
from service.document.messages import must_be
from service.document.validation import Shape
from service.domain.durations import Length
from service.domain.opening_hours import closed_days, is_country
from service.domain.public_holidays import check_subdivision
from service.rules.compiler.defaults import DefaultsShape

Network: TypeAlias = IPv4Network | IPv6Network


def _version(value: Any) -> Any:
    if value is True:  # which Python takes for 1
        raise refused(must_be("version", "1", value))
    return value


def _some_time(length: timedelta) -> timedelta:
    if length < timedelta(minutes=1):
        raise refused("within must be at least a minute")
    return length


class NetworkShape(Shape):
    """Which private addresses may be called."""

    allow: tuple[Network, ...] = ()


def _country(code: str) -> str:
    if not is_country(code):
        raise refused(f"there is no country {code}", "write US, GB, DE …")
    return code


def _subdivision(code: str, info: ValidationInfo) -> str:
    if "country" not in info.data:
        return code  # which has an error of its own
    return check_subdivision(info.data["country"], code)


class HolidaysShape(Shape):
    """The country whose public holidays (PH in `hours`) count, as an ISO code, and days off.

    With a `subdivision` those of this part of the country count. On the `closed` days all opening
    hours are closed. They are kept in the syntax of hours.
    """

    country: Annotated[str, AfterValidator(_country)] | None = None
    subdivision: Annotated[str, AfterValidator(_subdivision)] | None = None
    closed: tuple[Annotated[str, BeforeValidator(closed_days)], ...] = ()


class StormShape(Shape):
    """How many messages are too many, and in which time."""

    messages: Annotated[int, Field(ge=1)] = 50
    per_target: Annotated[int, Field(ge=1)] | None = None
    per_rule: Annotated[int, Field(ge=1)] | None = None
    within: Annotated[Length, AfterValidator(_some_time)] = timedelta(minutes=10)


class AtMostShape(Shape):
    """How many messages a customer gets, over all rules and accounts."""

    per_day: Annotated[int, Field(ge=1)]


class ContactsShape(Shape):
    """What holds for every message that reaches a customer, whatever its rule says."""

    consent: Literal["opt_out", "opt_in"] = "opt_out"
    hours: str | None = None
    at_most: AtMostShape | None = None
    same_customer_by: tuple[Literal["phone", "email"], ...] = ()


class RootShape(Shape):
    """The whole configuration."""

    # Accounts, channels, people and rules are validated one by one.

    stand_ins: ClassVar[Mapping[str, Any]] = {"version": 1}

    version: Annotated[Literal[1], BeforeValidator(_version)]
    accounts: dict[str, Any] = Field(default_factory=dict)
    channels: dict[str, Any] = Field(default_factory=dict)
    people: dict[str, Any] = Field(default_factory=dict)
    users: dict[str, Any] = Field(default_factory=dict)
    network: NetworkShape = NetworkShape()
    operator: str | None = None
    timezone: ZoneInfo = ZoneInfo("UTC")
    hours: dict[str, Any] = Field(default_factory=dict)
    holidays: HolidaysShape = HolidaysShape()
    storm: StormShape = StormShape()
    contacts: ContactsShape = ContactsShape()
    defaults: DefaultsShape = DefaultsShape()
    lists: dict[str, Any] = Field(default_factory=dict)
    rules: list[Any] = Field(default_factory=list)
    tests: list[Any] = Field(default_factory=list)
