"""A text as Slack shows it: docs.slack.dev/messaging/formatting-message-text.

Links with a label, mentions of many and bold words are what a rule has written, and never a value
of a task. Slack itself looks for nothing in it (`verbatim`): what is a link or a mention, says so.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote

from service.channels.markup import ADDRESS, LINKED, StandIns
from service.channels.text_fitting import beginning, fitted, utf16_units

# Of one section, docs.slack.dev/reference/block-kit/composition-objects/text-object; and of all, of
# which Slack's support says that it is 12,000 with the blocks around it, for which 11,300 were too
# many (github.com/slackapi/bolt-js/issues/2509 and 2867). In units of UTF-16, to be sure.
SECTION, LONGEST = 3000, 9000
_LONGEST_LINK = 2000  # characters, so that it fits into a section with room to spare
_CUT = re.compile(r"(?:&[a-z]*|<[^>]*)$")
_BROKEN = re.compile(r"(?:&[a-z]*|<[^<>]*)\n…(?=\n|$)")  # where the middle was cut out
_LINK = re.compile(r"\[([^\[\]\n]+)\]\(([^()\s]+)\)")
_MANY = re.compile(r"(?<![\w@])@(here|channel|everyone)\b")
_GROUP = re.compile(r"&lt;(!subteam\^[A-Z0-9]+)&gt;")
_ONE_ORIGIN = re.compile("r+|v+")
# Slack has no way to escape its marks, of which it takes the wide ones, too; these look alike.
# Inside of a word, as in A_1, they are none.
_ALIKE = {
    "*": "\u2217",
    "_": "\u02cd",
    "~": "\u223c",
    "`": "\u02cb",
    "\uff0a": "\ufe61",
    "\uff3f": "\u2e0f",
    "\uff40": "\u02cb",
}
_MARKS = re.compile("[`\uff40]|(?<!\\w)[*_~\uff0a\uff3f]+|[*_~\uff0a\uff3f]+(?!\\w)")
_QUOTE = re.compile("^(?=&gt;|\uff1e)", re.MULTILINE)
_SOFT_HYPHEN = "\u00ad"  # which is not shown
_ENDS_LINK = re.compile(r"[|<>\s]")


def mrkdwn(text: str, markup: Sequence[int]) -> str:
    """The text with `[label](address)` as a link, `@here`, `@channel` and `<!subteam^ID>` as such.

    `markup` is as in `Message`; without it nothing but the text itself is shown. Web addresses are
    links, whoever has written them.
    """
    values, parts, end = StandIns(text, markup), list[str](), 0
    for found in _LINK.finditer(values.source):
        parts += [_plain(values, end, found.start()), _link(values, found)]
        end = found.end()
    return "".join([*parts, _plain(values, end, len(values.source))])


def _plain(values: StandIns, start: int, end: int) -> str:
    """A part of the source, with the addresses and the mentions in it."""
    part = values.source[start:end]
    text, origin = values.fill(part), values.origin(part)
    parts, done = list[str](), 0
    for found in ADDRESS.finditer(text):
        if len(found[0]) <= _LONGEST_LINK:
            parts += [_words(text, origin, done, found.start()), f"<{_address(found[0])}>"]
            done = found.end()
    return "".join([*parts, _words(text, origin, done, len(text))])


def _words(text: str, origin: str, start: int, end: int) -> str:
    """A part of the text without addresses; `origin` says by whom each sign of it is."""
    parts = _ONE_ORIGIN.finditer(origin, start, end)
    return "".join(
        (_own if one[0].startswith("r") else _value)(text[slice(*one.span())]) for one in parts
    )


def _own(text: str) -> str:
    """What a rule has written, with the mentions in it."""
    return _MANY.sub(r"<!\1>", _GROUP.sub(r"<\1>", _escaped(text)))


def _value(text: str) -> str:
    """What stands in a task, none of which is markup."""
    alike = _MARKS.sub(lambda found: "".join(map(_ALIKE.__getitem__, found[0])), text)
    return _QUOTE.sub(_SOFT_HYPHEN, _escaped(alike))


def _link(values: StandIns, found: re.Match[str]) -> str:
    label = " ".join(values.fill(_escaped(found[1]), _value).split())
    address = values.fill(found[2]).strip()
    if LINKED.match(address) is None or len(address) + len(label) > _LONGEST_LINK:
        return f"{label} ({_escaped(address)})"
    return f"<{_address(address)}|{label}>"


def sections(text: str) -> list[str]:
    """The text in as few pieces as Slack accepts, split at line ends if there are any.

    The middle of a text that is too long is left out. A piece that shows nothing is refused.
    """
    rest = _BROKEN.sub("\n…", fitted(text, LONGEST, utf16_units))
    parts: list[str] = []
    while rest:
        head = _head(rest)
        rest = rest[len(head) :]
        parts.append(head)
    return [part for part in parts if part.strip()]


def _head(text: str) -> str:
    """The beginning that fits into a section."""
    head = text.encode("utf-16-le")[: 2 * SECTION].decode("utf-16-le", "ignore")
    if len(head) == len(text):
        return text
    line_end = head.rfind("\n") + 1
    return head[:line_end] if line_end else _CUT.sub("", beginning(text, len(head))) or head


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _address(address: str) -> str:
    """An address that cannot end the link around it."""
    return _ENDS_LINK.sub(lambda found: quote(found[0]), address).replace("&", "&amp;")
