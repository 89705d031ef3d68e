"""The announcements of a simulation: none, as every change is visible at once."""

from collections.abc import Iterable, Mapping, Sequence

from service.store.announcements import Announcement
from service.store.tasks import Key


class MemoryAnnouncements:
    """`AnnouncementRepository` in memory; it is always empty."""

    async def by_task(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Announcement]]:
        del keys
        return {}

    async def forget(self, over: Sequence[Announcement]) -> None:
        del over
