"""How a text is cut that is longer than a service takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.channels.text_fitting import fitted, one_line, utf8_bytes, utf16_units

TEXTS = st.text(st.sampled_from("ab \n…é👍🏽👩\u200d👧🇩🇪\u0301<&*"), max_size=300)
# A black flag, and tags that say which.
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


def escaped(text: str) -> int:
    """The size of a text in which each of some characters is escaped by two more."""
    return len(text) + 2 * sum(map(text.count, "<&*"))


@given(TEXTS, st.integers(20, 120), st.sampled_from([len, escaped, utf16_units, utf8_bytes]))
def test_a_text_fits(text: str, most: int, size: object) -> None:
    """For any characters and any unit of the service; a short text is not changed."""
    assert callable(size)
    found = fitted(text, most, size)
    assert size(found) <= most
    assert (found == text) is (size(text) <= most) or "…" in text


def test_the_middle_is_left_out_and_said_so() -> None:
    """The last line may be the link by which a question is answered, so it stays."""
    text = "Smith Jones " * 20 + "\nAnswer here: https://bell.test/1"
    assert fitted(text, 60, len) == "Smith Jones Smith Jones\n…\nAnswer here: https://bell.test/1"


def test_a_last_line_that_does_not_fit_is_cut() -> None:
    """Where it alone is too long, the beginning is told."""
    assert fitted("Smith is here\n" + "x" * 40, 20, len) == "Smith is here\n…"


@pytest.mark.parametrize(
    ("text", "most", "found"),
    [
        ("x" * 498 + "👍🏽" + "y" * 600, 501, "x" * 498),
        ("x" * 498 + "e\u0301" + "y" * 600, 501, "x" * 498),
        ("x" * 498 + "👩\u200d👧" + "y" * 600, 502, "x" * 498),
        ("x" * 498 + "🇩🇪" + "y" * 600, 501, "x" * 498),
        ("x" * 496 + "🇩🇪🇫🇷" + "y" * 600, 501, "x" * 496 + "🇩🇪"),
        ("x" * 498 + ENGLAND + "y" * 600, 504, "x" * 498),
    ],
    ids=["skin tone", "accent", "family", "flag", "flags", "flag of a country's part"],
)
def test_no_character_is_cut_in_two(text: str, most: int, found: str) -> None:
    """An emoji of several parts, a flag or a letter with its accent stays whole, or goes."""
    assert fitted(text, most, len) == f"{found}\n…"


def test_a_subject_stays_on_one_line() -> None:
    """Line ends become spaces, and the end is cut off."""
    assert one_line("Smith\n gutters ", 20) == "Smith gutters"
    assert one_line("Smith gutters", 8) == "Smith g…"
