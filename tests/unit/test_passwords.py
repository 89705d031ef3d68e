"""Passwords: what a hash has to look like, and what belongs to it."""

import pytest
from pydantic_core import PydanticCustomError

from service.settings import passwords

SALT, DIGEST = "ftXIkvyrssSO23npwV7AnQ", "rAmflbLgK38wbDJ0AWOn+Lt14P/GBxDiIO/cg4AsJHg"


def test_a_password_fits_its_hash_alone() -> None:
    """Two hashes of one password differ, and both are what the configuration takes."""
    first, second = passwords.hashed("correct horse"), passwords.hashed("correct horse")
    assert first != second
    for one in (first, second):
        passwords.demand_hash(one)
        assert passwords.is_right("correct horse", one)
        assert not passwords.is_right("correct hors", one)
        assert not passwords.is_right("", one)


def test_a_letter_is_the_same_from_every_keyboard() -> None:
    """An accent may be typed as part of its letter, or after it."""
    assert passwords.is_right("caf\u00e9 de l'ete", passwords.hashed("cafe\u0301 de l'ete"))
    assert passwords.is_right("\ud800 is no letter", passwords.hashed("\ud800 is no letter"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "correct horse battery",
        f"$argon2i$v=19$m=65536,t=3,p=4${SALT}${DIGEST}",
        f"$argon2id$v=16$m=65536,t=3,p=4${SALT}${DIGEST}",
        f"$argon2id$v=19$m=65536,t=3,p=4${SALT}${DIGEST}\n",
        f"$argon2id$v=19$m=65536,t=3,p=4${SALT}${DIGEST}AA",
        f"$argon2id$v=19$m=65536,t=3,p=4$short${DIGEST}",
        f"$argon2id$v=19$m=999999999,t=3,p=4${SALT}${DIGEST}",
        f"$argon2id$v=19$m=65536,t=9999,p=4${SALT}${DIGEST}",
        f"$argon2id$v=19$m=65536,t=3,p=99${SALT}${DIGEST}",
        f"$argon2id$v=19$m=8,t=3,p=4${SALT}${DIGEST}",
        f"$argon2id$v=19$m=65536,t=0,p=4${SALT}${DIGEST}",
        "$2b$12$abcdefghijklmnopqrstuuK3zJ1o1fTzX0n1Q2r3s4t5u6v7w8x9y",
    ],
)
def test_what_is_no_hash_is_refused(text: str) -> None:
    """Other schemes, and what would take a process more memory or time than a sign-in may."""
    with pytest.raises(PydanticCustomError):
        passwords.demand_hash(text)


def test_a_hash_that_cannot_be_checked_fits_nothing() -> None:
    """A sign-in with it is a wrong one, and no failure of ours."""
    assert not passwords.is_right("x", "no hash")
    assert not passwords.is_right("x", f"$argon2id$v=19$m=1,t=3,p=4${SALT}${DIGEST}")
