"""Signatures: the right ones pass, everything else is refused and nothing breaks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.http.signatures import Headers, NotGenuine
from service.sources.account import HookOptions
from tests.harness import senders
from tests.harness.senders import DATED, NEW, OLD, SCHEMES

NOW = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
BODY = b'{"id": "T1"}'


def options(scheme: str, *secrets: str) -> HookOptions:
    return HookOptions.model_validate({"verify": scheme, "secret": secrets})


def verify(options: HookOptions, headers: Headers, body: bytes, now: datetime) -> None:
    options.scheme.verify(options.keys, headers, body, now)


def signed(scheme: str, secret: str, at: datetime = NOW) -> dict[bytes, bytes]:
    return senders.signed(scheme, secret, BODY, at)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("secret", [OLD, NEW])
def test_either_secret_passes_during_rotation(scheme: str, secret: str) -> None:
    """While a secret is being replaced, what is signed with the old or the new one passes."""
    verify(options(scheme, OLD, NEW), signed(scheme, secret), BODY, NOW)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_another_secret_is_refused(scheme: str) -> None:
    """What is signed with a secret that the account does not have is not genuine."""
    with pytest.raises(NotGenuine):
        verify(options(scheme, OLD), signed(scheme, NEW), BODY, NOW)


@pytest.mark.parametrize("scheme", ["plannr", "standard", "github", "slack"])
def test_a_changed_body_is_refused(scheme: str) -> None:
    """A signature holds for the very bytes that were signed."""
    with pytest.raises(NotGenuine):
        verify(options(scheme, NEW), signed(scheme, NEW), BODY + b" ", NOW)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_missing_headers_are_named(scheme: str) -> None:
    """A webhook without its signature is refused, and the sender is told what is missing."""
    with pytest.raises(NotGenuine, match=r"The header [a-z0-9-]+ is missing"):
        verify(options(scheme, NEW), {}, BODY, NOW)


@pytest.mark.parametrize("scheme", DATED)
@pytest.mark.parametrize("away", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_timestamp_may_be_five_minutes_away(scheme: str, away: timedelta) -> None:
    """Five minutes either way pass, a second more does not: what is old is replayed."""
    verify(options(scheme, NEW), signed(scheme, NEW, NOW + away), BODY, NOW)
    with pytest.raises(NotGenuine, match="five minutes"):
        verify(options(scheme, NEW), signed(scheme, NEW, NOW + away * 1.01), BODY, NOW)


@pytest.mark.parametrize(
    "stamp", [b"soon", b"-1", b"1e9", b"9" * 5000, "\u0661".encode(), b"1772798400.0", b"\xb2"]
)
def test_a_timestamp_that_is_no_unix_time_is_refused(stamp: bytes) -> None:
    """Whatever stands in for a number, the answer is a refusal."""
    headers = signed("standard", NEW) | {b"webhook-timestamp": stamp}
    with pytest.raises(NotGenuine, match="Unix time"):
        verify(options("standard", NEW), headers, BODY, NOW)


def test_standard_signatures_come_in_a_list() -> None:
    """A sender that replaces its secret signs with both, among other versions; one must match."""
    right = signed("standard", NEW)[b"webhook-signature"]
    for given_list in (b"v1,bm90aGluZw== " + right, right + b" v1a,AAAA", b"v2,x  " + right):
        headers = signed("standard", NEW) | {b"webhook-signature": given_list}
        verify(options("standard", NEW), headers, BODY, NOW)


def test_the_message_id_is_signed_too() -> None:
    """Another id over the same body would pass for news; it is refused."""
    headers = signed("standard", NEW) | {b"webhook-id": b"msg_2"}
    with pytest.raises(NotGenuine):
        verify(options("standard", NEW), headers, BODY, NOW)


def test_a_token_may_come_in_its_own_header() -> None:
    """Senders that cannot set Authorization use X-Webhook-Token."""
    verify(options("token", NEW), {b"x-webhook-token": NEW.encode()}, BODY, NOW)
    with pytest.raises(NotGenuine, match="Bearer"):
        verify(options("token", NEW), {b"authorization": b"Basic " + NEW.encode()}, BODY, NOW)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(junk=st.binary(min_size=1, max_size=60))
def test_no_header_can_do_more_than_not_match(scheme: str, junk: bytes) -> None:
    """Bytes that are not ASCII, not base64, not hex: refused, without any other error."""
    headers = dict.fromkeys(signed(scheme, NEW), junk)
    with pytest.raises(NotGenuine):
        verify(options(scheme, NEW), headers, BODY, NOW)


def test_none_lets_everything_in() -> None:
    """An account that asks for no proof takes what comes."""
    verify(HookOptions(verify="none"), {}, BODY, NOW)


@pytest.mark.parametrize(
    "given_options",
    [
        {"verify": "plannr"},
        {"verify": "token", "secret": ""},
        {"verify": "github", "secret": ["right", ""]},
        {"verify": "standard", "secret": "no base64!"},
        {"verify": "md5", "secret": "x"},
    ],
)
def test_options_that_could_not_verify_are_refused(given_options: dict[str, object]) -> None:
    """A missing, empty or misspelt secret is a fault of the configuration, and is not shown."""
    with pytest.raises(ValidationError) as refused:
        HookOptions.model_validate(given_options)
    assert "no base64!" not in str(refused.value)
