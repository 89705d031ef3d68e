"""Webhooks as their senders prove them genuine, each scheme by its own rules."""

import hmac
from datetime import datetime
from hashlib import sha256

from standardwebhooks import Webhook

from service.http.signatures import NoScheme, schemes

SCHEMES = tuple(name for name in schemes() if name != NoScheme.name)
# What is signed together with a time, so that a webhook that was caught soon is too old.
DATED = ("standard", "slack")

# Both are base64 as well, which one of the schemes asks for.
OLD, NEW = "b2xkIHNlY3JldCwgb2xkIHNlY3JldA==", "whsec_bmV3IHNlY3JldCwgbmV3IHNlY3JldA=="


def signed(
    scheme: str, secret: str, body: bytes, at: datetime, message: str = "msg_1"
) -> dict[bytes, bytes]:
    """The headers that each sender makes; for Standard Webhooks, by its own library."""
    stamp = str(int(at.timestamp())).encode()
    match scheme:
        case "plannr":
            return {b"x-signature": _hex(secret, body)}
        case "github":
            return {b"x-hub-signature-256": b"sha256=" + _hex(secret, body)}
        case "slack":
            signature = b"v0=" + _hex(secret, b"v0:" + stamp + b":" + body)
            return {b"x-slack-request-timestamp": stamp, b"x-slack-signature": signature}
        case "standard":
            return {
                b"webhook-id": message.encode(),
                b"webhook-timestamp": stamp,
                b"webhook-signature": Webhook(secret).sign(message, at, body.decode()).encode(),
            }
        case "token":
            return {b"authorization": b"Bearer " + secret.encode()}
        case _:
            raise NotImplementedError(f"how a sender signs by {scheme} stands here")


def _hex(secret: str, text: bytes) -> bytes:
    return hmac.digest(secret.encode(), text, sha256).hex().encode()
