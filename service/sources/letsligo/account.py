"""Options of LetsLigo accounts."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from service.sources.account import Account, HeaderText


class LetsLigoAccount(Account):
    """A workspace of LetsLigo.

    `workspace` is its slug, for a token that opens several. `lean_lists` says that lists leave out
    description, kind, payload and time of completion, so that a changed task is read by id as well.
    `per_page` is sent as API Platform's itemsPerPage; without it the system decides.
    """

    tenant_options: ClassVar[tuple[str, ...]] = ("workspace",)

    workspace: HeaderText | None = None
    lean_lists: bool = True
    per_page: int | None = Field(default=None, ge=1)

    def headers(self) -> Mapping[str, str]:
        accept = {"Accept": "application/ld+json, application/json;q=0.5"}
        workspace = {"X-Workspace-Slug": self.workspace} if self.workspace else {}
        return {**super().headers(), **accept, **workspace}
