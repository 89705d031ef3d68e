"""What the content of a task or a webhook can bring about: no other one must suffer for it."""

import asyncpg

from service.errors import PayloadError

UNREADABLE = (
    PayloadError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What reading it may raise; anything else is not its fault."""

POISONOUS = (*UNREADABLE, asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""What taking it in may raise."""


def reason(error: BaseException) -> str:
    """What to tell of it; some errors have no words of their own."""
    return str(error) or type(error).__name__
