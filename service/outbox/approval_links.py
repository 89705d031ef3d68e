"""Links for approvers: each opens the page of one delivery, and no other."""

import hmac
from hashlib import sha256
from urllib.parse import urlencode

from pydantic import SecretStr


class ApprovalLinks:
    """Makes links to the page at `url`, and verifies them.

    They are signed with the admin token. Without one, the page is available on its own machine
    only, and the signature proves nothing.
    """

    def __init__(self, url: str, token: SecretStr | None) -> None:
        self._url = url.rstrip("/")
        self._token = b"" if token is None else token.get_secret_value().encode()

    def to(self, delivery: int, key: str) -> str:
        """The link for approving or declining a delivery; `key` is the delivery's own."""
        query = urlencode({"token": self._sign(delivery, key)})
        return f"{self._url}/approvals/{delivery}?{query}"

    def is_genuine(self, delivery: int, key: str, token: str) -> bool:
        """Whether the link to this delivery was made here."""
        return hmac.compare_digest(token.encode(), self._sign(delivery, key).encode())

    def _sign(self, delivery: int, key: str) -> str:
        return hmac.digest(self._token, f"approve:{delivery}:{key}".encode(), sha256).hex()
