"""Links by which customers end all messages to them: signed, and valid for good."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

from pydantic import SecretStr

from service.domain.contacts import ContactKey, KeyKind, Keys, Receivers, keys_in

PATH = "/unsubscribe"
LONGEST = 2_000  # characters of what follows the path
_SIGNATURE = 16  # bytes; a link is typed off by nobody, but a short message pays for its length
_BETWEEN_KEYS, _BETWEEN_PARTS = "\n", "\t"
_LETTERS = {"c": KeyKind.CUSTOMER, "e": KeyKind.EMAIL, "p": KeyKind.PHONE}
_OF_KIND = {kind: letter for letter, kind in _LETTERS.items()}


class UnsubscribeLinks:
    """Makes links to the page at `url`, and reads them.

    They hold whose messages they end, so they do not depend on anything that is deleted one day.
    They are signed with the admin token: if that is replaced, links in earlier messages end.
    """

    def __init__(self, url: str, token: SecretStr | None) -> None:
        self._url = url.rstrip("/")
        self._token = b"" if token is None else token.get_secret_value().encode()

    def to(self, receivers: Receivers, target: str) -> str | None:
        """The link in a message to a customer at this target.

        None without a page that customers can open, or if the message is for several addresses:
        one of them must not end the messages of another.
        """
        if not self._url or not receivers.customers:
            return None
        addresses = keys_in(target)
        if len(addresses) != 1:
            return None
        own = (one for one in receivers.customers[0] if one.kind is KeyKind.CUSTOMER)
        return f"{self._url}{PATH}/{self._signed(_written({*addresses, *own}))}"

    def read(self, text: str) -> Keys | None:
        """Whose messages a link ends, by what follows its path; None if it was not made here."""
        content, _, _ = text.partition(".")
        if len(text) > LONGEST or not hmac.compare_digest(
            text.encode(), f"{content}.{self._signature(content)}".encode()
        ):
            return None
        return _read(urlsafe_b64decode(_padded(content)).decode())

    def _signed(self, written: str) -> str:
        content = urlsafe_b64encode(written.encode()).decode().rstrip("=")
        return f"{content}.{self._signature(content)}"

    def _signature(self, content: str) -> str:
        signed = hmac.digest(self._token, f"unsubscribe:{content}".encode(), sha256)
        return urlsafe_b64encode(signed[:_SIGNATURE]).decode().rstrip("=")


def _written(keys: Iterable[ContactKey]) -> str:
    parts = ((_OF_KIND[one.kind], one.value, one.account) for one in keys)
    return _BETWEEN_KEYS.join(sorted(_BETWEEN_PARTS.join(filter(None, one)) for one in parts))


def _read(written: str) -> Keys:
    found = (line.split(_BETWEEN_PARTS) for line in written.split(_BETWEEN_KEYS))
    return frozenset(ContactKey(_LETTERS[letter], *rest) for letter, *rest in found)


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
