"""Which alarms the clock has been watching: the mark against which new rules are set off."""

from collections.abc import Iterable

from service.alarms import Alarm
from service.model import Kind
from service.store import Connection


async def watched(connection: Connection) -> frozenset[Alarm]:
    """The alarms in force, locked until the transaction ends."""
    await connection.execute("LOCK TABLE alarms IN SHARE ROW EXCLUSIVE MODE")
    rows = await connection.fetch('SELECT kind, field, "offset", at FROM alarms')
    return frozenset(
        Alarm(Kind(row["kind"]), row["field"], row["offset"], row["at"]) for row in rows
    )


async def watch(connection: Connection, alarms: Iterable[Alarm]) -> None:
    """Watch these from now on, and no others."""
    await connection.execute("DELETE FROM alarms")
    await connection.executemany(
        'INSERT INTO alarms (kind, field, "offset", at) VALUES ($1, $2, $3, $4)',
        [(alarm.kind, alarm.field, alarm.offset, alarm.at) for alarm in alarms],
    )
