"""Texts as long as a service takes them, cut between characters and between words."""

from bisect import bisect_right
from collections.abc import Callable
from itertools import takewhile
from unicodedata import category

# Characters of a last line that is kept, and of half a word that is not.
LONGEST_TAIL = 500
_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_TAGS = range(0xE0020, 0xE0080)  # as in the flags of England and Wales


def fitted(text: str, most: int, size: Callable[[str], int], mark: str = "…") -> str:
    """The text; if its size is more than `most`, without its middle, for which there is the mark.

    The last line is kept, if it is not long: it may be the link by which a question is answered.
    `size` is that of a text as it is sent, with all that is added to escape it, in the units of
    the service. It must grow with the text.
    """
    if size(text) <= most:
        return text
    start, _, last = text.rstrip().rpartition("\n")
    if not start or len(last) > LONGEST_TAIL or size(_cut("", last, mark)) > most:
        start, last = text, ""
    lengths = range(min(len(start), most))

    def first(length: int) -> str:
        return _cut(beginning(start, length), last, mark)

    fitting = bisect_right(lengths, most, key=lambda length: size(first(length)))
    return first(max(fitting - 1, 0))


def one_line(text: str, most: int) -> str:
    """The text on one line of at most so many characters, with "…" where its end was cut off."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{beginning(line, most - 1)}…"


def utf16_units(text: str) -> int:
    """How long a text is for services that count as JavaScript does: an emoji is two."""
    return len(text.encode("utf-16-le")) // 2


def utf8_bytes(text: str) -> int:
    """How many bytes a text has."""
    return len(text.encode())


def _cut(start: str, last: str, mark: str) -> str:
    match start.rsplit(maxsplit=1):
        case [whole, half] if len(half) <= LONGEST_TAIL:
            start = whole
    return f"{start}\n{mark}\n{last}".strip()


def beginning(text: str, length: int) -> str:
    """The first characters, up to so many: none without its accents, skin tone or other half."""
    while 0 < length < len(text) and _is_joined(text, length):
        length -= 1
    return text[:length]


def _is_joined(text: str, length: int) -> bool:
    """Whether the character at this place belongs to the one before it."""
    before, after = text[length - 1], text[length]
    is_added = category(after) in {"Mn", "Me", "Mc"} or ord(after) in _SKIN_TONES
    is_part = is_added or ord(after) in _TAGS or _JOINER in {before, after}
    return is_part or (ord(after) in _FLAG_LETTERS and _flag_letters_before(text, length) % 2 == 1)


def _flag_letters_before(text: str, length: int) -> int:
    """How many letters of flags end there: two are a flag."""
    return sum(1 for _ in takewhile(lambda c: ord(c) in _FLAG_LETTERS, reversed(text[:length])))
