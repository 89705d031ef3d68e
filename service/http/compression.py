"""Bodies that were packed with gzip, once, of which no more is unpacked than may come."""

import zlib

_MAGIC = b"\x1f\x8b"
_GZIP = frozenset({"gzip", "x-gzip"})
_PLAIN = frozenset({"", "identity", "none", "7bit", "8bit", "binary", "chunked", "aws-chunked"})
_WINDOW = 16 + zlib.MAX_WBITS  # zlib's word for gzip
_MOST_MEMBERS = 100


class TooLarge(ValueError):
    """It unpacks to more than may come."""


def can_be_read(encoding: str) -> bool:
    """Whether this Content-Encoding is gzip, or no way of packing at all, as some senders have it.

    Proxies write it twice, and a character set stands there by mistake.
    """
    names = {name.strip().lower() for name in encoding.split(",")}
    return all(name in _GZIP | _PLAIN or _is_charset(name) for name in names)


def _is_charset(name: str) -> bool:
    try:
        "".encode(name.removeprefix("charset="))
    except (LookupError, ValueError):
        return False
    return True


def is_packed(body: bytes | bytearray) -> bool:
    """Whether it is a gzip, whatever its headers say: not every proxy that unpacks says so."""
    return body.startswith(_MAGIC)


def unpacked(body: bytes, most: int) -> bytes:
    """What was packed, in one or several members; ValueError if that is broken or too large.

    What was packed twice is still packed. A large one is to be unpacked in a thread.
    """
    found, left = bytearray(), body
    for _ in range(_MOST_MEMBERS):
        if not is_packed(left):
            break
        member = zlib.decompressobj(_WINDOW)
        try:
            found += member.decompress(left, most + 1 - len(found))
        except zlib.error as error:
            raise ValueError(f"the gzip is broken: {error}") from error
        if len(found) > most:
            raise TooLarge(f"it unpacks to more than {most} bytes")
        if not member.eof:
            raise ValueError("the gzip is broken: it ends in the middle")
        left = member.unused_data
    if left.strip(b"\0"):
        raise ValueError("the gzip is broken: something else follows it")
    return bytes(found)
