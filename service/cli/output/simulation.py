"""Formats a delivery of a simulation as a line for people."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from service.simulator.backtest import address
from service.simulator.memory.deliveries import Delivery
from service.web.labels import place


def line_of(one: Delivery, zones: Mapping[str, ZoneInfo], usual: ZoneInfo) -> str:
    """Its send time in its account's zone, its rule, its receiver and its text.

    A zone that is not the usual one is named.
    """
    event = one.request.event
    zone = zones[event.account]
    at = (one.settled_at or one.created_at).astimezone(zone)
    text = one.text or event.task.title
    return f"{at:%a %-d %b, %H:%M}{place(zone, usual)}  {one.request.rule}  {address(one)}  {text}"
