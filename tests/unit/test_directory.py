"""Whom an entry of the directory is about, and what it fills in."""

from dataclasses import replace

import pytest

from service.domain.diff import diff
from service.domain.directory import Directory, as_reported
from service.domain.model import Kind, Person, Task

BO = Person(name="Bo Reed", email="bo@x.test")
FIRM = Directory(
    {
        "7": BO,
        "Ann Lee": Person(email="ann@x.test", number="12"),
        "8": Person(name="Chris Hill", email="chris@x.test"),
        "9": Person(name="Chris Hill", email="hill@x.test"),
    }
)


@pytest.mark.parametrize(
    ("told", "email"),
    [
        (Person(id="7"), "bo@x.test"),
        (Person(id="7", name="Robert Reed"), "bo@x.test"),
        (Person(name="bo reed "), "bo@x.test"),
        (Person(id="Bo Reed"), "bo@x.test"),
        (Person(id="1", name="Bo Reed"), None),
        (Person(id="1", name="ANN LEE"), "ann@x.test"),
        (Person(id="ann lee"), "ann@x.test"),
        (Person(id="9"), "hill@x.test"),
        (Person(name="Chris Hill"), None),
        (Person(id="7", email="own@x.test"), "own@x.test"),
        (Person(), None),
    ],
)
def test_whom_an_entry_is_about(told: Person, email: str | None) -> None:
    """By id, or by name where nobody else can be meant; what the system tells wins."""
    task = Task("T1", "sales", "rolodex", assignee=told, assignees=(told,), author=told)
    filled = FIRM.filled(task)
    people = (filled.assignee, *filled.assignees, filled.author)
    assert {one.email for one in people if one} == {email}
    assert as_reported(filled) == task
    assert Directory().filled(filled) == task


def test_a_phone_comes_from_the_directory() -> None:
    """No system tells it; another number there is no event."""
    known = Task("T1", "sales", "rolodex", assignee=Person(id="7"))
    old, new = (Directory({"7": Person(phone=one)}).filled(known) for one in ("+491511", "+491522"))
    assert old.assignee == Person(id="7", phone="+491511")
    assert old.assignee.from_directory == ("phone",)
    assert diff(old, new) == []


def test_what_was_filled_in_is_stored_as_such() -> None:
    """Read back, it is still known to be the directory's."""
    task = FIRM.filled(Task("T1", "sales", "rolodex", completed_by=Person(id="7")))
    stored = Task.from_json(task.to_json())
    assert stored == task
    assert as_reported(stored).completed_by == Person(id="7")


def test_another_address_in_the_directory_is_no_event() -> None:
    """Without an id people are told apart by their address, but not by one of the directory's."""
    known = Task("T1", "sales", "rolodex", assignee=Person(name="Ann Lee"))
    moved = Directory({"Ann Lee": Person(email="new@x.test")})
    assert diff(FIRM.filled(known), moved.filled(known)) == []
    assert diff(FIRM.filled(known), known) == []
    own = replace(known, assignee=Person(name="Ann Lee", email="own@x.test"))
    other = replace(known, assignee=Person(name="Ann Lee", email="other@x.test"))
    assert [one.kind for one in diff(own, other)] == [Kind.REASSIGNED]


def test_the_digest_is_of_what_is_said() -> None:
    """The order in which people are written down changes nothing; nobody has no digest."""
    turned = Directory(dict(reversed(list(FIRM.entries.items()))))
    assert turned.digest == FIRM.digest != Directory({"7": BO}).digest
    assert len(FIRM.digest) == len(b"8 bytes.")
    assert Directory().digest == b""
