"""The text of a message as HTML: what its rule has written is CommonMark with tables, and no HTML.

The values of a task are no part of what is read as markup: each is one letter while that is read,
and is put in its place afterwards. So nothing in them can be markup, also within a link or a code.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TypeAlias

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink
from markdown_it.token import Token

from service.channels.markup import ADDRESS, LINKED, StandIns

Fill: TypeAlias = Callable[[str], str]

_STYLE = """
body { margin: 0; padding: 24px 16px; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; color: #1f2328; background: #ffffff; }
main { max-width: 600px; overflow-wrap: anywhere; }
main > :first-child { margin-top: 0; }
h1, h2, h3, h4, h5, h6 { line-height: 1.25; margin: 1.2em 0 0.5em; }
h1 { font-size: 1.4em; } h2 { font-size: 1.2em; } h3, h4, h5, h6 { font-size: 1em; }
p, ul, ol, table, pre, blockquote { margin: 0 0 1em; }
a { color: #0b57d0; }
table { border-collapse: collapse; }
th, td { border: 1px solid #d0d7de; padding: 4px 8px; text-align: start; vertical-align: top; }
th { max-width: 12em; overflow-wrap: break-word; } td { min-width: 3.5em; }
code, pre { font: 0.9em ui-monospace, Menlo, Consolas, monospace; background: #f3f4f6; }
pre { padding: 8px; white-space: pre-wrap; }
blockquote { padding-inline-start: 12px; border-inline-start: 3px solid #d0d7de; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8eb; background: #16181c; }
  a { color: #8ab4f8; }
  th, td, blockquote { border-color: #3d444d; }
  code, pre { background: #262a31; }
}
"""
_PAGE = """<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main dir="auto">
{content}</main>
</body>
</html>
"""


class _Markdown(MarkdownIt):
    """Leaves the addresses of links as they are until the values are in them."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802 (as the library calls it)
        return url

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802
        return link

    def validateLink(self, url: str) -> bool:  # noqa: N802
        del url
        return True


# An indented line is no code, dashes under a text make it no heading: both happen by accident. A
# picture would tell its server who reads the mail.
_MARKDOWN = (
    _Markdown("commonmark", {"html": False, "breaks": True})
    .enable(["table", "strikethrough"])
    .disable(["code", "lheading", "image", "html_block", "html_inline"])
)


def page(title: str, text: str, markup: Sequence[int]) -> str:
    """A whole HTML page; `markup` as in `Message`. A line break stays one."""
    content = _MARKDOWN.renderer.render(_read(text, markup), _MARKDOWN.options, {})
    return _PAGE.format(title=escape(title), style=_STYLE, content=content)


def first_line(text: str, markup: Sequence[int]) -> str:
    """The first line that is not empty, without markup."""
    inline = (token.children for token in _read(text, markup) if token.children)
    lines = "\n".join("".join(map(_words, children)) for children in inline)
    return lines.strip().partition("\n")[0]


def _words(token: Token) -> str:
    return "\n" if token.type in {"softbreak", "hardbreak"} else token.content


def _read(text: str, markup: Sequence[int]) -> list[Token]:
    """The text as Markdown, with the values in their places."""
    # A line that was added below the text is a paragraph of its own.
    values = StandIns(text, markup, before_added="\n\n")
    tokens, fill = _MARKDOWN.parse(values.source), values.fill
    for token in tokens:
        token.content, token.info = fill(token.content), ""
        if token.children is not None:
            token.children = list(_filled(token.children, fill))
    return tokens


def _filled(tokens: Sequence[Token], fill: Fill) -> Iterator[Token]:
    """The tokens of a line with the values in their places, and with links that are safe."""
    opened: list[bool] = []
    for token in tokens:
        if token.type == "link_open":
            link = _link(fill(str(token.attrs.get("href", ""))))
            opened.append(link is not None)
            yield from () if link is None else (link,)
        elif token.type == "link_close":
            yield from (token,) if opened.pop() else ()
        elif token.type == "text":
            yield from _lines(fill(token.content), is_linked=any(opened))
        else:
            token.content = fill(token.content)
            yield token


def _link(address: str) -> Token | None:
    """The beginning of a link; None for an address that a mail should not lead to."""
    href = normalizeLink(address.strip())
    return Token("link_open", "a", 1, attrs={"href": href}) if LINKED.match(href) else None


def _lines(text: str, *, is_linked: bool) -> Iterator[Token]:
    for number, line in enumerate(text.split("\n")):
        if number:
            yield Token("hardbreak", "br", 0)
        yield from [_text(line)] if is_linked else _with_links(line)


def _with_links(line: str) -> Iterator[Token]:
    """A line in which web addresses lead where they say."""
    end = 0
    for found in ADDRESS.finditer(line):
        yield _text(line[end : found.start()])
        if (link := _link(found[0])) is not None:
            yield from (link, _text(found[0]), Token("link_close", "a", -1))
        end = found.end()
    yield _text(line[end:])


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
