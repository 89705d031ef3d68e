"""Which tasks a webhook contains, read as ingest reads it, and without a call to the system."""

import httpx

from service.clock import Clock
from service.errors import TaskbellError
from service.http.json_body import decoded
from service.http.throttle import Unthrottled
from service.sources import systems
from service.sources.account import Account
from service.sources.payload import FullTask, Sighting, UnreadableItem, read
from service.sources.reader import TaskReader

# What the content of a webhook can bring about.
_UNREADABLE = (
    TaskbellError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


class _NoCalls(httpx.AsyncBaseTransport):
    """A transport for those who only read what they have."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nothing is asked here", request=request)


def told_tasks(account: Account, clock: Clock, body: bytes, most: int) -> list[str]:
    """The ids of the first tasks in a webhook's body; none if it cannot be read."""
    client = httpx.AsyncClient(transport=_NoCalls(), trust_env=False)
    source = systems()[account.system].connect(account, client, clock, Unthrottled())
    try:
        found = [_id_of(source, one) for one in read(source, decoded(body))]
    except _UNREADABLE:
        return []
    return list(dict.fromkeys(one for one in found if one is not None))[:most]


def _id_of(source: TaskReader, sighting: Sighting) -> str | None:
    match sighting:
        case UnreadableItem():
            return None
        case FullTask():
            return source.identify(sighting.raw)
        case _:
            return sighting.task_id
