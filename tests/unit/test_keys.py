"""Secrets: short ones are refused with the command that makes a good one, which fits everywhere."""

from typing import Any

import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook
from typer.testing import CliRunner

from service.channels.webhook_request import WebhookOptions
from service.cli.app import app
from service.errors import SettingsError
from service.settings import read_settings
from service.sources.account import HookOptions
from tests.harness.senders import SCHEMES


def made() -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, ["secret"])
    assert result.exit_code == 0
    return result.stdout.strip()


def test_a_new_secret_is_taken_wherever_one_is_wanted() -> None:
    """By each way to verify, a channel, the settings, and the library of Standard Webhooks."""
    first, second = made(), made()
    assert first != second
    for scheme in SCHEMES:
        HookOptions.model_validate({"verify": scheme, "secret": [first, second]})
    WebhookOptions.model_validate(
        {"name": "w", "kind": "webhook", "url": "https://a.example", "secret": first}
    )
    read_settings({"TASKBELL_ADMIN_TOKEN": first, "HOST": "::"})
    assert Webhook(first)


@pytest.mark.parametrize("token", ["t", "15 characters..", "\u00e4" * 15])
def test_a_short_admin_token_is_refused(token: str) -> None:
    """With one sentence: that it could be guessed, and what makes a good one."""
    with pytest.raises(SettingsError) as refused:
        read_settings({"TASKBELL_ADMIN_TOKEN": token, "HOST": "::"})
    assert str(refused.value) == (
        "The settings have errors:\n  TASKBELL_ADMIN_TOKEN: the token must have at least 16"
        " characters, or it can be guessed; `taskbell secret` makes a good one"
    )
    assert read_settings({"TASKBELL_ADMIN_TOKEN": "16 characters..."})


FIFTEEN = "whsec_MDEyMzQ1Njc4OWFiY2Rl"
SHORT: list[tuple[str, Any]] = [
    *((scheme, "15 characters..") for scheme in SCHEMES if scheme != "standard"),
    ("github", ["16 characters...", "short"]),
    ("standard", FIFTEEN),
    ("standard", FIFTEEN.removeprefix("whsec_")),
]


@pytest.mark.parametrize(("scheme", "secret"), SHORT)
def test_a_short_secret_of_webhooks_is_refused(scheme: str, secret: Any) -> None:
    """By the bytes of the key: base64 makes it longer and no better."""
    with pytest.raises(ValidationError, match="at least 16 bytes"):
        HookOptions.model_validate({"verify": scheme, "secret": secret})


@pytest.mark.parametrize(
    "secret", ["a plain text that is long", "", "whsec_", FIFTEEN, "bmV3IHNlY3JldHM=" * 2]
)
def test_a_channel_signs_with_what_its_receiver_can_verify(secret: str) -> None:
    """Plain text, a short key, and base64 that might be meant as plain text are refused."""
    with pytest.raises(ValidationError, match=r"whsec_ followed by base64|16 bytes"):
        WebhookOptions.model_validate(
            {"name": "w", "kind": "webhook", "url": "https://a.example", "secret": secret}
        )
