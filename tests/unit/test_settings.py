"""The environment: what it may say, and that all its faults are told at once."""

import re
from datetime import timedelta

import pytest

from service.errors import SettingsError
from service.settings import read_settings


def test_how_long_things_are_kept_is_set_by_noun() -> None:
    """A duration each; what is not set has a default."""
    settings = read_settings({"TASKBELL_KEEP_RECEIPTS": "3 days", "TASKBELL_KEEP_EVENTS": "104w"})
    assert settings.taskbell_keep_receipts == timedelta(days=3)
    assert settings.taskbell_keep_events == timedelta(days=728)
    assert settings.taskbell_keep_deliveries == timedelta(days=365)


def test_all_faults_are_told_at_once() -> None:
    """Each by its name and in words, whatever kind of fault it is."""
    with pytest.raises(SettingsError) as caught:
        read_settings(
            {
                "HOST": "0.0.0.0",  # noqa: S104
                "PORT": "eighty",
                "TASKBELL_KEEP_RECEIPTS": "14",
                "TASKBELL_KEEP_DECISIONS": "1h",
                "TASKBELL_KEEP_DELIVERIES": "500 days",
            }
        )
    said = str(caught.value)
    assert "HOST: 0.0.0.0 can be reached by others" in said
    assert 'PORT must be a whole number, not "eighty"' in said
    assert 'TASKBELL_KEEP_RECEIPTS: "14" is not a duration; write for example' in said
    assert "TASKBELL_KEEP_DECISIONS: must be one day or more" in said
    assert "TASKBELL_KEEP_EVENTS: must be at least 500 days" in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "99999", "PORT must be at most 65535, not 99999"),
        ("WORKERS", "0", "WORKERS must be at least 1, not 0"),
        ("LOG_LEVEL", "LOUD", 'LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not "LOUD"'),
        ("TASKBELL_OPEN_DOOR", "maybe", 'TASKBELL_OPEN_DOOR must be true or false, not "maybe"'),
        ("TASKBELL_EDIT", "yes", 'TASKBELL_EDIT must be off or on, not "yes"'),
        ("TASKBELL_EDIT", "1", 'TASKBELL_EDIT must be off or on, not "1"'),
        ("TASKBELL_URL", "x", "TASKBELL_URL: must begin with http:// or https://"),
    ],
)
def test_a_fault_shows_the_value_and_what_is_allowed(name: str, value: str, said: str) -> None:
    """In the words that errors of the configuration have."""
    with pytest.raises(SettingsError, match=re.escape(said)):
        read_settings({name: value})


def test_on_another_address_than_loopback_a_token_is_needed() -> None:
    """With it, and on loopback without it, Taskbell starts."""
    assert not read_settings(
        {"HOST": "::", "TASKBELL_ADMIN_TOKEN": "secret-of-the-page"}
    ).is_loopback
    assert read_settings({"HOST": "localhost"}).is_loopback


@pytest.mark.parametrize(
    ("name", "first"),
    [("worker.1", True), ("worker", True), ("worker.2", False), ("w.11", False)],
)
def test_one_worker_of_several_is_the_first(name: str, *, first: bool) -> None:
    """Its name says which."""
    assert read_settings({"PS": name}).is_first_worker is first
