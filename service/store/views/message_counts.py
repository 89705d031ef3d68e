"""How many messages there are, by state."""

from datetime import datetime

from service.store import Pool
from service.store.views.message_search import PENDING_STATES, STATES

_COUNTED = ("waiting", "on_hold", "approval", "sent", "failed", "unknown")


async def counts(pool: Pool, since: datetime, most: int) -> dict[str, int]:
    """How many messages are in a state of `STATES`, each up to `most`.

    Of those that have ended only those that were planned `since` then (UTC).
    """
    [row] = await pool.fetch(f"SELECT {', '.join(map(_counted, _COUNTED))}", since, most)
    return dict(row)


def _counted(state: str) -> str:
    of_today = "true" if state in PENDING_STATES else "created_at >= $1"
    counted = f"SELECT FROM deliveries WHERE ({STATES[state]}) AND {of_today} LIMIT $2"
    return f"(SELECT count(*) FROM ({counted}) AS found) AS {state}"
