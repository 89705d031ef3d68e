"""Addresses of mails, however people write them."""

import re
from collections.abc import Sequence
from email.headerregistry import Address
from unicodedata import category, normalize

import idna

from service.errors import SendError

# RFC 5321, with the letters that RFC 6531 adds to the part before the @; without what no server
# takes: dots at an end or beside each other, and what is too long. Parts in quotes and addresses of
# machines are possible, but nobody's in practice.
_WORD = r"(?:[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]|[^\x00-\xa0\s\ud800-\udfff])+"
LOCAL_PART = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_LABEL = r"(?!-)[\w-]{1,63}(?<!-)"
DOMAIN = re.compile(rf"(?:{_LABEL}\.)*(?!\d+\Z){_LABEL}", re.ASCII)
LONGEST_LOCAL_PART, LONGEST_ADDRESS = 64, 254
LINE_BREAK = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
# Between addresses; not inside of a name in quotes.
SEPARATOR = re.compile(r"""[;,](?=(?:[^"]*"[^"]*")*[^"]*$)""")
LONGEST_TARGET = 2000
MAILBOX = re.compile(
    r"""(?P<name>[^<>]*)<\s*(?P<named>[^<>\s]+)\s*>
      | (?P<spoken>[^()<>"]*)\((?P<inside>[^()\s]+@[^()\s]+)\)
      | (?P<quote>['"]?)(?P<bare>[^<>"\s()]+)(?P=quote)(?:\s*\([^()]*\))?""",
    re.VERBOSE,
)
BLANK = re.compile(r"[\s/]+")
BARE = re.compile(r"[^@<>()]+@[^@<>()]+")
QUOTES = re.compile(r"""[\\"]+""")
SCHEME = re.compile("mailto:", re.IGNORECASE)
# As keyboards of East Asia write them, and the blank that does not break.
WIDE = str.maketrans({"\uff20": "@", "\uff0c": ",", "\uff1b": ";", "\u3000": " ", "\xa0": " "})


def recipients(target: str) -> list[Address]:
    """The recipients of a mail: addresses with or without names, separated by commas or semicolons.

    Raises SendError with the part that is not an address.
    """
    if len(target) > LONGEST_TARGET:
        raise SendError(f"{target[:40]!r}… are too many addresses for one mail", permanent=True)
    written = _parted("".join(c for c in target if category(c) != "Cf").translate(WIDE))
    found = {address.addr_spec.lower(): address for address in map(mailbox, written)}
    if not found:
        raise SendError(f"{target!r} is not an email address", permanent=True)
    return list(found.values())


def mailbox(written: str) -> Address:
    """One address, with or without a name or a comment; raises SendError for anything else."""
    found = MAILBOX.fullmatch(SCHEME.sub("", written, count=1))
    name, address = "", ""
    if found:
        name = found["name"] or found["spoken"] or ""
        address = (found["named"] or found["inside"] or found["bare"]).removesuffix(".")
    spoken = as_spoken(SCHEME.sub("", address))
    if spoken is None or LINE_BREAK.search(name):
        raise SendError(f"{written.strip()!r} is not an email address", permanent=True)
    local, _, domain = spoken.rpartition("@")
    return Address(" ".join(QUOTES.sub(" ", name).split()), local, domain)


def as_spoken(address: str) -> str | None:
    """An address as it is sent to mail servers; None if it is not one.

    Its domain is in ASCII (IDNA 2008, with the mapping of UTS 46 for capitals and the like).
    """
    local, _, domain = address.rpartition("@")
    local = normalize("NFC", local)
    try:
        if not domain.isascii():
            domain = idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return None
    if not (LOCAL_PART.fullmatch(local) and DOMAIN.fullmatch(domain)):
        return None
    length = len(local.encode())
    is_too_long = length > LONGEST_LOCAL_PART or length + 1 + len(domain) > LONGEST_ADDRESS
    return None if is_too_long else f"{local}@{domain}"


def needs_utf8(addresses: Sequence[Address]) -> bool:
    """Whether only a server with SMTPUTF8 takes a mail to all of these (RFC 6531)."""
    return not all(one.username.isascii() for one in addresses)


def _parted(target: str) -> list[str]:
    """The parts between separators; the comma in `Reed, Bo <bo@x.test>` is not a separator.

    A blank or a slash is one between addresses without names.
    """
    parts: list[str] = []
    for part in SEPARATOR.split(target):
        bare = BLANK.split(part.strip())
        if len(bare) > 1 and all(BARE.fullmatch(one) for one in bare):
            parts += bare
        elif parts and "@" not in parts[-1] and "<" in part and '"' not in part:
            parts[-1] += f", {part.strip()}"
        elif part.strip():
            parts.append(part.strip())
    return parts
