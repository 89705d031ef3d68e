"""Names that were seen lately, as suggestions in a form: of the latest events and messages only."""

from service.store import Pool

_LATEST = 2_000
_MOST = 200
_LONGEST = 200


async def customers(pool: Pool) -> list[str]:
    """Names of customers, in their order."""
    return await _of_events(pool, "customer")


async def projects(pool: Pool) -> list[str]:
    """Names of projects, in their order."""
    return await _of_events(pool, "project")


async def _of_events(pool: Pool, noun: str) -> list[str]:
    rows = await pool.fetch(
        """
        SELECT DISTINCT name
        FROM (SELECT coalesce(after, before) #>> ARRAY[$1, 'name'] AS name
              FROM events ORDER BY id DESC LIMIT $2) AS latest
        WHERE length(name) BETWEEN 1 AND $3 ORDER BY name LIMIT $4
        """,
        noun,
        _LATEST,
        _LONGEST,
        _MOST,
    )
    return [row["name"] for row in rows]


async def receivers(pool: Pool) -> list[str]:
    """Addresses and channels that messages went to, in their order."""
    rows = await pool.fetch(
        """
        SELECT DISTINCT target
        FROM (SELECT target FROM deliveries ORDER BY id DESC LIMIT $1) AS latest
        WHERE length(target) BETWEEN 1 AND $2 ORDER BY target LIMIT $3
        """,
        _LATEST,
        _LONGEST,
        _MOST,
    )
    return [row["target"] for row in rows]
