"""Bodies that were packed with gzip, of which no more is unpacked than may come."""

import gzip
import io
import zlib

GZIP = frozenset({"gzip", "x-gzip"})
# What some senders name although it is no way of packing.
PLAIN = frozenset({"", "identity", "utf-8", "utf8", "none"})


class TooLarge(ValueError):
    """It unpacks to more than may come."""


def unpacked(body: bytes, most: int) -> bytes:
    """What was packed, in one or several members; ValueError if that is broken or too large."""
    try:
        found = gzip.GzipFile(fileobj=io.BytesIO(body)).read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the gzip is broken: {error}") from error
    if len(found) > most:
        raise TooLarge(f"it unpacks to more than {most} bytes")
    return found
