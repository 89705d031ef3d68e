"""The public holidays of a part of a country, such as a state: from the library `holidays`.

The public holidays of whole countries are known to the library for opening hours.
"""

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from service.diagnostics import did_you_mean, refused

if TYPE_CHECKING:
    from holidays import HolidayBase

_FEW = 20


def check_subdivision(country: str | None, code: str) -> str:
    """The code of a subdivision, such as `CA` or `BY`; raises ValueError if there is none."""
    if country is None:
        raise refused("a subdivision needs its country", "write { country: US, subdivision: CA }")
    code = code.removeprefix(f"{country}-")
    known = _calendar(country, None)
    if known is None or not known.subdivisions:
        raise refused(f"no holidays of parts of {country} are known", "remove subdivision")
    if code not in known.subdivisions:
        by_name = known.subdivisions_aliases.get(code)
        hint = f"did you mean {by_name}?" if by_name else did_you_mean(code, known.subdivisions)
        message = f"there is no subdivision {code} of {country}"
        raise refused(message, hint or f"such as {', '.join(known.subdivisions[:_FEW])}")
    return code


@lru_cache(maxsize=1_000)
def holidays_in(country: str, subdivision: str, year: int) -> frozenset[date]:
    """The public holidays there in a year; none if the subdivision is not known."""
    # A calendar works out further years by itself, but not safely in several threads.
    return frozenset(_calendar(country, subdivision, year) or ())


def _calendar(
    country: str, subdivision: str | None, year: int | None = None
) -> "HolidayBase | None":
    # For all commands whose configuration has no subdivision: it takes a third of a second.
    from holidays import country_holidays  # noqa: PLC0415

    try:
        return country_holidays(country, subdiv=subdivision, years=year)
    except NotImplementedError:
        return None
