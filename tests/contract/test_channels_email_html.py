"""How a mail looks: a rule's markup is markup, the values of a task are text and no more."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.channels.email.html import first_line, page
from service.rules.language.templates import template

HOSTILE = (
    '<b>x</b> **y** _z_ [a](http://evil.test) `c` |\n\n# H\n- l\n> q\n1. n\n---\n<script>&amp;"'
)


class _Seen(HTMLParser):
    """The elements of a page, its text, and where its links lead."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.feed(content.partition("<main")[2])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str, **task: str) -> str:
    """The HTML of a rule's text about this task."""
    made, problems = template(text, ())
    assert made is not None, problems
    told = made.rendered({"task": task})
    return page("Hello", told.text, told.markup)


def test_the_markup_of_a_rule_is_markup() -> None:
    """Emphasis, lists, tables, headings and links, and a line break stays one."""
    seen = _Seen(
        rendered(
            "# Today\n**{{ task.title }}** is *late*\nby `{{ task.id }}`\n\n- one\n- two\n\n"
            "| a | b |\n|---|---|\n| {{ task.title }} | 2 |\n\n[Open]({{ task.url }})",
            title="Gutters",
            id="T_1",
            url="https://x.test/1?a=b&c=(d)",
        )
    )
    assert {"h1", "strong", "em", "br", "code", "ul", "table"} <= {*seen.elements}
    assert seen.links == ["https://x.test/1?a=b&c=(d)"]
    assert "T_1" in seen.text


@pytest.mark.parametrize(
    "text",
    ["{{ task.title }}", "- {{ task.title }}", "| {{ task.title }} |\n|---|", "`{{ task.title }}`"],
)
def test_a_value_is_text_wherever_it_stands(text: str) -> None:
    """A hostile title makes the same elements as a harmless one, but for links and lines."""
    seen, harmless = _Seen(rendered(text, title=HOSTILE)), _Seen(rendered(text, title="x"))
    more = [one for one in seen.elements if one not in {"br", "a"}]
    assert more == harmless.elements
    assert "".join(seen.text.split()).endswith("".join(HOSTILE.split()))
    assert {*seen.links} <= {"http://evil.test"}


@given(st.text(), st.text())
def test_no_value_makes_an_element(title: str, other: str) -> None:
    """For any value, in any place."""
    text = (
        "**{{ task.title }}**{{ task.id }}_x_ [l](https://x.test/{{ task.id }})\n\n- {{ task.id }}"
    )
    seen = _Seen(rendered(text, title=title or "x", id=other))
    left = [one for one in seen.elements if one not in {"br", "a"}]
    assert left in (["p", "strong", "em", "ul", "li"], ["p", "strong", "ul", "li"])
    assert all(one.startswith(("http:", "https:")) for one in map(str.lower, seen.links))


def test_words_that_are_put_aside_are_a_value() -> None:
    """What `capture` and `cycle` give is text, because a task's values may be in it."""
    text = "{% capture x %}**{{ task.title }}**{% endcapture %}{{ x }} {% cycle task.title %}"
    assert "<strong>" not in rendered(text, title="*a* **b**")


def test_a_message_without_a_rule_is_text() -> None:
    """As one to the operator, or of an older version: nothing is known of who wrote what."""
    assert "**x** &lt;b&gt;" in page("Hello", "**x** <b>", ())


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.test", "vbscript:x", "  file:///x"]
)
def test_a_link_leads_to_the_web_or_to_a_person(url: str) -> None:
    """Else its label is left, without a link."""
    seen = _Seen(rendered("[Open]({{ task.url }}) and more", url=url))
    assert seen.links == []
    assert "Open and more" in seen.text


def test_web_addresses_lead_where_they_say() -> None:
    """Those of a rule and those of a task, also one made of both; no full stop belongs to it."""
    text = "See https://x.test/jobs/{{ task.id }}. {{ task.description }}"
    seen = _Seen(rendered(text, id="a_b_c", description="(https://y.test/?q=1&r=2)"))
    assert seen.links == ["https://x.test/jobs/a_b_c", "https://y.test/?q=1&r=2"]


def test_what_happens_by_accident_is_no_markup() -> None:
    """An indented line, dashes under a text, HTML; and a picture would tell on its reader."""
    seen = _Seen(
        rendered("Regards\n---\nFirm\n\n    indented\n\n<i>x</i> ![p](https://x.test/p.png)")
    )
    assert not {"pre", "code", "h1", "h2", "i", "img"} & {*seen.elements}
    assert "<i>x</i>" in seen.text


def test_a_private_letter_in_a_rule_stands_for_nothing() -> None:
    """A rule cannot show another value by the letter that stands for it."""
    assert "Gutters Gutters" not in rendered("\U000f0000 {{ task.title }}", title="Gutters")


def test_a_mail_without_a_subject_is_named_after_its_first_line() -> None:
    """Without the marks; those of a value are its own."""
    made, _ = template("\n# **{{ task.title }}** is\nlate", ())
    assert made is not None
    told = made.rendered({"task": {"title": "a *b* `c`"}})
    assert first_line(told.text, told.markup) == "a *b* `c` is"
    assert first_line(" \n\n- *x*", (0, 8)) == "x"
    assert first_line("**x**\ny", ()) == "**x**"
    assert first_line(" ", ()) == ""


def test_a_line_that_is_added_below_is_a_paragraph() -> None:
    """As the link to answer a message is: it is in no list and no table."""
    text = "| a |\n|---|\n| b |"
    shown = page("Hello", f"{text}\nAnswer here: https://x.test/a_b_c", (0, len(text)))
    assert '</table>\n<p>Answer here: <a href="https://x.test/a_b_c">' in shown


def test_a_subject_is_text_too() -> None:
    """The title of the page."""
    assert "<title>&lt;b&gt;</title>" in page("<b>", "x", ())
