"""Bodies that were packed with gzip, of which no more is unpacked than may come."""

import gzip
import io
import zlib

GZIP = frozenset({"gzip", "x-gzip"})
_MAGIC = b"\x1f\x8b"
_PLAIN = frozenset({"", "identity", "none", "7bit", "8bit", "binary", "chunked", "aws-chunked"})


class TooLarge(ValueError):
    """It unpacks to more than may come."""


def can_be_read(encoding: str) -> bool:
    """Whether this Content-Encoding is gzip, or no way of packing at all, as some senders have it.

    Proxies write it twice, and a character set stands there by mistake.
    """
    names = {name.strip().lower() for name in encoding.split(",")}
    return all(name in GZIP | _PLAIN or _is_charset(name) for name in names)


def _is_charset(name: str) -> bool:
    try:
        "".encode(name.removeprefix("charset="))
    except (LookupError, ValueError):
        return False
    return True


def unpacked(body: bytes, most: int) -> bytes:
    """What was packed, in one or several members; ValueError if that is broken or too large.

    What is not packed is returned as it is: not every proxy that unpacks says so.
    """
    if not body.startswith(_MAGIC):
        return body
    try:
        found = gzip.GzipFile(fileobj=io.BytesIO(body)).read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the gzip is broken: {error}") from error
    if len(found) > most:
        raise TooLarge(f"it unpacks to more than {most} bytes")
    return found
