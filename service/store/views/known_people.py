"""The people whom an account's system has told of: those of the tasks that were observed last."""

from service.domain.model import Person
from service.store import Connection

_LATEST = 2_000  # open tasks, and as many that are done


async def read(connection: Connection, account: str) -> list[Person]:
    """Everybody with an id who worked on these tasks or created them, once, by name."""
    rows = await connection.fetch(
        """
        WITH latest AS (
            (SELECT snapshot FROM tasks WHERE account = $1 AND standing = 'open'
             ORDER BY observed_at DESC LIMIT $2)
            UNION ALL
            (SELECT snapshot FROM tasks WHERE account = $1 AND standing = 'done'
             ORDER BY observed_at DESC LIMIT $2))
        SELECT person ->> 'id' AS id, max(person ->> 'name') AS name,
               max(person ->> 'email') AS email
        FROM latest, LATERAL (
            SELECT json_array_elements(snapshot -> 'assignees')
            UNION ALL SELECT snapshot -> 'author'
            UNION ALL SELECT snapshot -> 'completed_by') AS people (person)
        WHERE person ->> 'id' IS NOT NULL GROUP BY 1 ORDER BY 2, 1
        """,
        account,
        _LATEST,
    )
    return [Person(id=row["id"], name=row["name"], email=row["email"]) for row in rows]
