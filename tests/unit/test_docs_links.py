"""The pages lead to each other: to places that exist, and from the index to every page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The places of a page that a link can name, as GitHub makes them of the headings."""
    text = prose(page)
    made = {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def slug(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_anchor_is_there(page: Path) -> None:
    """A link to a part of a page names one that the page has."""
    links = [link for link in _LINK.findall(prose(page)) if "#" in link and "://" not in link]
    named = [
        (page.parent / file if file else page, part)
        for file, _, part in (link.partition("#") for link in links)
    ]
    assert [(file.name, part) for file, part in named if part not in anchors(file)] == []


def test_the_index_names_every_page() -> None:
    """Each page of docs/ is in docs/README.md, and the README leads there."""
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {link.partition("#")[0] for link in _LINK.findall(index)}
    assert {page.name for page in DOCS.glob("*.md")} - linked - {"README.md"} == set()
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
