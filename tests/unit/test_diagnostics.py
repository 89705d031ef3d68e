"""What is wrong with a file, and what is suggested in its place."""

from copy import deepcopy

import pytest

from service.diagnostics import Suggestion, did_you_mean


def test_a_suggestion_says_the_word_and_knows_it() -> None:
    """It is a text for people; for other code it has the word."""
    hint = did_you_mean("titel", {"title", "due"})
    assert isinstance(hint, Suggestion)
    assert (hint, hint.word) == ("did you mean title?", "title")


def test_a_copy_of_a_suggestion_is_the_same() -> None:
    """As where a diagnostic becomes JSON."""
    copy = deepcopy(Suggestion("title"))
    assert (copy, copy.word) == ("did you mean title?", "title")


def test_few_known_words_are_listed_in_place_of_a_guess() -> None:
    """Nothing is near to it: what there is can be read at a glance."""
    hint = did_you_mean("xyz", {"due", "title"})
    assert hint == "known here: due, title"
    assert not isinstance(hint, Suggestion)


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("disabled", {"enabled", "id"}),
        ("incomplete", {"completed"}),
        ("task.uncompleted", {"task.completed"}),
        ("task.opened", {"task.reopened"}),
        ("task.done", {"task.reopened", "task.deleted"}),
        ("task.updated", {"task.created", "task.deleted"}),
        ("tags", {"status", "priority"}),
    ],
)
def test_a_word_that_says_something_else_is_no_suggestion(word: str, known: set[str]) -> None:
    """However near its letters are."""
    assert not isinstance(did_you_mean(word, known), Suggestion)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("task.compleet", "task.completed"), ("completed", "task.completed"), ("untill", "until")],
)
def test_a_typing_error_is_explained(word: str, meant: str) -> None:
    """Also without `task.`, and of a word that begins like an opposite."""
    known = {"task.completed", "task.reopened", "until", "unique"}
    assert did_you_mean(word, known) == f"did you mean {meant}?"
