"""gzip-compressed bodies, decompressed once and up to a maximum size."""

import zlib

_MAGIC = b"\x1f\x8b"
_GZIP = frozenset({"gzip", "x-gzip"})
_PLAIN = frozenset({"", "identity", "none", "7bit", "8bit", "binary", "chunked", "aws-chunked"})
_WINDOW = 16 + zlib.MAX_WBITS  # zlib's word for gzip
_MOST_MEMBERS = 100


class TooLarge(ValueError):
    """The decompressed body exceeds the maximum size."""


def can_be_read(encoding: str) -> bool:
    """Whether this Content-Encoding is gzip, or a name for no encoding, as some senders have it.

    Proxies write it twice, and some senders put a character set there by mistake.
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
    """Whether it is gzip, whatever its headers say: some proxies decompress without saying so."""
    return body.startswith(_MAGIC)


def unpacked(body: bytes, most: int) -> bytes:
    """The decompressed data of one or several members; ValueError if it is broken or too large.

    Data that was compressed twice is decompressed once. Large data should be decompressed in a
    thread.
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
