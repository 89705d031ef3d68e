"""Lists that are read by offsets, which drift while others insert and remove rows."""

from collections.abc import AsyncIterator, Callable, Sequence

from service.errors import SourceBroken
from service.sources import Page

OVERLAP = 10  # rows that a page has in common with the one before
PASSES = 3  # readings of a list that does not hold still


async def each_once(
    account: str,
    pages: Callable[["OffsetWalk"], AsyncIterator[Page]],
    *,
    is_proof: bool = False,
) -> AsyncIterator[Page]:
    """The list, each task once; read again, a few times at most, if rows moved meanwhile.

    A task that such a list does not show may still exist. If `is_proof`, because absence from the
    list is to count, SourceBroken is raised after the last attempt, unless no rows moved during one
    of them.
    """
    given: set[str] = set()
    for _ in range(PASSES):
        walk = OffsetWalk(account)
        async for page in pages(walk):
            fresh = {key: raw for key, raw in page.raws.items() if key not in given}
            given.update(fresh)
            yield Page(fresh, page.requested_at, page.nameless, page.total)
        if walk.is_steady:
            return
    if is_proof:
        raise SourceBroken(
            f"{account}: the list of tasks changed each of the {PASSES} times that it was read,"
            " so Taskbell cannot tell which tasks are missing from it"
        )


class OffsetWalk:
    """One walk through a list by offsets, while others insert and remove rows.

    Each page begins with the last rows of the one before. If it does not, or if the total has
    changed, rows have moved, and some of them may have moved from the unread part into the part
    that was read.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self.offset = 0
        self.is_over = False
        self.is_steady = True
        self._seen: set[str] = set()
        self._expected: set[str] = set()
        self._total: int | None = None

    def step(self, ids: Sequence[str | None], total: int | None, *, is_full: bool) -> None:
        """Advance past a page with tasks of these ids (None for a row without id).

        After a full page there may be more, whatever the total is: some systems count only the
        page. Raises SourceBroken for an empty list whose total is not 0.
        """
        self._demand_some(ids, total)
        found = {task_id for task_id in ids if task_id is not None}
        if found & self._seen != self._expected or self._total not in (None, total):
            self.is_steady = False
        end = self.offset + len(ids)
        self.is_over = found <= self._expected or (
            total is not None and end >= total and not (is_full and _is_of_page(total, ids, end))
        )
        overlap = min(OVERLAP, len(ids) // 2)
        self._expected = {task_id for task_id in ids[len(ids) - overlap :] if task_id is not None}
        self._seen |= found
        self._total = total
        self.offset = end - overlap

    def _demand_some(self, ids: Sequence[str | None], total: int | None) -> None:
        if total and not ids and not self.offset:
            raise SourceBroken(
                f"{self._account}: the list of tasks is empty and says that it has {total}"
            )


def _is_of_page(total: int, ids: Sequence[str | None], end: int) -> bool:
    """Whether a total may count only the page, or is smaller than the rows read."""
    return total <= len(ids) or total < end
