"""A text as Slack shows it: docs.slack.dev/messaging/formatting-message-text.

Links with a label, and mentions of many, are what a rule has written, and never a value of a task.
"""

import re
from collections.abc import Sequence

from service.channels.markup import LINKED, StandIns
from service.channels.text_fitting import fitted, utf16_units

# Of one section, docs.slack.dev/reference/block-kit/composition-objects/text-object; and of all, of
# which Slack's support says that it is 12,000 with the blocks around it, for which 11,300 were too
# many (github.com/slackapi/bolt-js/issues/2509 and 2867). In units of UTF-16, to be sure.
SECTION, LONGEST = 3000, 9000
_CUT = re.compile(r"(?:&[a-z]*|<[^>]*)$")
_BROKEN = re.compile(r"(?:&[a-z]*|<[^<>]*)\n…(?=\n|$)")  # where the middle was cut out
_LINK = re.compile(r"\[([^\[\]\n]+)\]\(([^()\s]+)\)")
_MANY = re.compile(r"(?<![\w@])@(here|channel|everyone)\b")
_GROUP = re.compile(r"&lt;(!subteam\^[A-Z0-9]+)&gt;")


def mrkdwn(text: str, markup: Sequence[int]) -> str:
    """The text with `[label](address)` as a link, `@here`, `@channel` and `<!subteam^ID>` as such.

    `markup` is as in `Message`; without it nothing but the text itself is shown.
    """
    values, parts, end = StandIns(text, markup), list[str](), 0
    for found in _LINK.finditer(values.source):
        parts += [_plain(values, end, found.start()), _link(values, found)]
        end = found.end()
    return "".join([*parts, _plain(values, end, len(values.source))])


def _plain(values: StandIns, start: int, end: int) -> str:
    """A part of the source, with the mentions in it."""
    written = _escaped(values.source[start:end])
    written = _MANY.sub(r"<!\1>", _GROUP.sub(r"<\1>", written))
    return values.fill(written, _escaped)


def _link(values: StandIns, found: re.Match[str]) -> str:
    label = values.fill(_escaped(found[1]), _escaped)
    address = values.fill(found[2]).strip()
    if LINKED.match(address) is None:
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
    return head[:line_end] if line_end else _CUT.sub("", head) or head


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _address(address: str) -> str:
    """An address that cannot end the link around it."""
    for letter, code in (("|", "%7C"), ("<", "%3C"), (">", "%3E"), (" ", "%20")):
        address = address.replace(letter, code)
    return address.replace("&", "&amp;")
