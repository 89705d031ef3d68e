"""How a plan is addressed: by which lane it leaves, and whether it may leave twice."""

from datetime import UTC, datetime
from typing import ClassVar

import pytest

from service.channels import Channel, built_in, ways
from service.channels.webhook import WebhookChannel
from service.domain.model import Cause, Event, Kind, State, Task
from service.domain.system_actions import BUILT_IN, WRITES
from service.engine.decider import Decider
from service.outbox import DeliveryRequest
from service.rules.ruleset import Ruleset
from service.rules.verdict import Plan

NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
EVENT = Event(7, "field", "T1", Kind.CREATED, NOW, Cause.POLL, None, Task("T1", "field", "x"))


class TellingOnce(WebhookChannel):
    """A channel that people configure, by which nothing may arrive twice."""

    at_most_once: ClassVar[bool] = True


def order(channel: str, **configured: type[Channel]) -> DeliveryRequest:
    decider = Decider(Ruleset.empty(), {}, {**configured, **ways({})})
    return decider._order(EVENT, "r", Plan(1, channel, "", "event:7", NOW, State.PLANNED))


def test_every_action_of_a_system_has_a_channel() -> None:
    """What rules can have a system do is what the built-in channels do."""
    assert built_in().keys() == BUILT_IN


@pytest.mark.parametrize("channel", sorted(BUILT_IN))
def test_what_a_system_does_leaves_by_its_account(channel: str) -> None:
    """One lane for what it tells and one for its writes; what is told is never sent again."""
    made = order(channel)
    assert made.lane == ("writes:field" if channel in WRITES else "account:field")
    assert made.at_most_once == (channel in {"customer", "employee"})


@pytest.mark.parametrize("way", [WebhookChannel, TellingOnce])
def test_a_configured_channel_makes_its_own_promise(way: type[Channel]) -> None:
    """It has its own lane, and its class says whether a message may be sent again."""
    made = order("accounting", accounting=way)
    assert (made.lane, made.at_most_once) == ("accounting", way.at_most_once)
