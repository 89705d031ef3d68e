"""Suggests the time zone that is meant by another name."""

from zoneinfo import available_timezones

from service.diagnostics import Suggestion, did_you_mean

# Abbreviations and offsets know no summer time, or stand for several zones.
_BY_ABBREVIATION = {
    **dict.fromkeys(("est", "edt", "est5", "est5edt", "et", "eastern"), "America/New_York"),
    **dict.fromkeys(("cst", "cdt", "cst6", "cst6cdt", "ct", "central"), "America/Chicago"),
    **dict.fromkeys(("mst", "mdt", "mst7", "mst7mdt", "mt", "mountain"), "America/Denver"),
    **dict.fromkeys(("pst", "pdt", "pst8", "pst8pdt", "pt", "pacific"), "America/Los_Angeles"),
    **dict.fromkeys(("akst", "akdt", "alaska"), "America/Anchorage"),
    **dict.fromkeys(("hst", "hawaii"), "Pacific/Honolulu"),
    **dict.fromkeys(("bst", "uk", "britain", "england"), "Europe/London"),
    **dict.fromkeys(("cet", "cest", "met", "mez", "mesz"), "Europe/Berlin"),
    **dict.fromkeys(("eet", "eest"), "Europe/Helsinki"),
    **dict.fromkeys(("wet", "west"), "Europe/Lisbon"),
    "ist": "Asia/Kolkata",
    "jst": "Asia/Tokyo",
    **dict.fromkeys(("aest", "aedt"), "Australia/Sydney"),
    **dict.fromkeys(("nzst", "nzdt"), "Pacific/Auckland"),
    **dict.fromkeys(("z", "zulu"), "UTC"),
}
_HINT = "write the zone of a place, as in Europe/London or America/New_York"
_BESIDE = (" standard time", " daylight time", " summer time", " time", "us/", "us ")


def likely_zone(name: str) -> str:
    """The name to write instead of an unknown zone."""
    plain = " ".join(name.lower().split())
    for word in _BESIDE:
        plain = plain.removesuffix(word).removeprefix(word)
    if zone := _BY_ABBREVIATION.get(plain) or _by_place(plain):
        return Suggestion(zone)
    if any(letter.isdigit() for letter in plain) or len(plain) < len("Rome"):
        return _HINT
    places = [zone for zone in available_timezones() if "/" in zone and not _is_old(zone)]
    close = did_you_mean(name, places)
    return close if isinstance(close, Suggestion) else _HINT


def _by_place(plain: str) -> str | None:
    """The zone of a city, or one with other capitals or spaces."""
    wanted = plain.replace(" ", "_")
    known = sorted(zone for zone in available_timezones() if not _is_old(zone))
    whole = next((zone for zone in known if zone.lower() == wanted), None)
    cities = (zone for zone in known if zone.lower().rpartition("/")[2] == wanted)
    return whole or next(cities, None)


def _is_old(zone: str) -> bool:
    """Names that exist for old files only, and offsets, whose sign is inverted."""
    return zone.startswith(("Etc/", "US/", "SystemV/", "posix/", "right/"))
