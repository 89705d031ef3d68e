"""Detects wrong field names in an account's configuration."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeAlias

from service.errors import SourceBroken
from service.sources import Page
from service.sources.kickserv.account import KickservAccount
from service.sources.reader import Raw

# Of so many tasks at least one has what every firm's tasks have.
ENOUGH = 20
# So many are read at most before one of them is believed.
_MOST_HELD = 200
_MANY = 100  # tasks, of which one would be done


@dataclass(slots=True)
class Seen:
    """The numbers of tasks in which a field exists, and in which it has a value."""

    read: int = 0
    is_over: bool = False
    named: Counter[str] = field(default_factory=Counter)
    filled: Counter[str] = field(default_factory=Counter)

    def take(self, raws: Iterable[Raw]) -> None:
        for raw in raws:
            self.read += 1
            self.named.update(raw.keys())
            self.filled.update(name for name, value in raw.items() if value)


Doubt: TypeAlias = Callable[[Seen], str | None]
"""What seems misnamed by the tasks seen so far; None if nothing."""


async def vouched(account: str, pages: AsyncIterator[Page], doubt: Doubt) -> AsyncGenerator[Page]:
    """The same pages, held back until their tasks have the fields that tasks have.

    Raises SourceBroken if enough tasks lack them, with the options to set.
    """
    seen, held, is_vouched = Seen(), list[Page](), False
    async with aclosing(pages) as reading:  # type: ignore[type-var]
        async for page in reading:
            seen.take(page.raws.values())
            held.append(page)
            said = None if is_vouched else doubt(seen)
            is_vouched = said is None
            if said is not None and seen.read >= _MOST_HELD:
                raise SourceBroken(f"{account}: {said}")
            if is_vouched:
                for one in held:
                    yield one
                held.clear()
    seen.is_over = True
    if seen.read >= ENOUGH and (said := doubt(seen)) is not None:
        raise SourceBroken(f"{account}: {said}")
    for one in held:
        yield one


def misnamed(account: KickservAccount, *, is_whole: bool) -> Doubt:
    """A field that probably has another name, because it is missing from enough tasks."""
    names = account.fields
    dates = (names.start, names.end, *filter(None, [names.due]))

    def doubt(seen: Seen) -> str | None:
        if not seen.filled[names.title]:
            return _unnamed([names.title], "title", seen)
        if not any(seen.filled[name] for name in dates):
            return _unnamed(dates, "start", seen)
        return _never_done(account, seen) if seen.is_over and is_whole else None

    return doubt


def _never_done(account: KickservAccount, seen: Seen) -> str | None:
    """Whether no task has the completion field; a configured name needs more tasks as evidence.

    If the field exists and is empty, the name is right: no task was ever done.
    """
    name, is_configured = account.done_field, account.is_done_field_configured
    if seen.named[name] or (is_configured and seen.read < _MANY):
        return None
    return _unnamed([name], "done", seen)


def _unnamed(names: Sequence[str], word: str, seen: Seen) -> str:
    """The error that none of these fields, one of which should be `word`, has a value."""
    quoted = " and ".join(f'"{name}"' for name in names)
    are = f"the field {quoted} is" if len(names) == 1 else f"the fields {quoted} are"
    return (
        f"{are} empty or missing in all {seen.read} tasks. If your account uses another field for"
        f" {word}, set fields: {{ {word}: … }}"
    )
