"""The words by which a task is found: of its id, title, customer and people.

They are in a table of their own, which is written only when they change.
"""

import string
from collections.abc import Mapping

from service.domain.model import Task
from service.store import Connection

_LONGEST_TITLE, _LONGEST_NAME, _MOST_PEOPLE = 1000, 200, 3
# Else PostgreSQL's parser takes a path, an address or a date for one word. It is done here because
# its `translate` takes 22 µs a task, more than all the rest of storing the words.
_TO_SPACES = str.maketrans(dict.fromkeys(string.punctuation, " "))


def text_of(task: Task | None) -> str | None:
    """The text to be found by; None if there is no task."""
    if task is None:
        return None
    people = dict.fromkeys((task.assignee, *task.assignees[:_MOST_PEOPLE]))
    names = [task.id, *(one.name for one in (task.customer, *people) if one and one.name)]
    text = " ".join([task.title[:_LONGEST_TITLE], *(name[:_LONGEST_NAME] for name in names)])
    return text.translate(_TO_SPACES)


def split(text: str) -> list[str]:
    """The words of a search text."""
    return text.translate(_TO_SPACES).split()


async def write(connection: Connection, texts: Mapping[tuple[str, str], str]) -> None:
    """Store the words of these texts, by the accounts and ids of their tasks."""
    await connection.execute(
        """
        INSERT INTO task_words (account, task, words)
        SELECT account, task, to_tsvector('simple', text)
        FROM unnest($1::text[], $2::text[], $3::text[]) AS new (account, task, text)
        ON CONFLICT (account, task) DO UPDATE SET words = excluded.words
        """,
        [account for account, _ in texts],
        [task for _, task in texts],
        list(texts.values()),
    )
