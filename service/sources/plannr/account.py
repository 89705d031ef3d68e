"""Options of Plannr accounts."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from service.sources.account import Account, HeaderText, written


class PlannrAccount(Account):
    """A login of a Plannr firm.

    `account_uuid` is `account.uuid` of GET /api/v1/logins. Dates without an offset are local
    time in `timezone`; `fold` is which one is meant if a time occurs twice because clocks go back:
    0 the first, 1 the second.
    Plannr writes midnight for a day without a time. `subtasks` and `filters` say which
    tasks are listed, `include` which related data each task comes with. `per_page` is how many
    tasks are asked for at once. `customer_fields` has the custom fields of a client that rules can
    use, each by its name in rules with its reference in Plannr; all others are not read. `create`
    has the fields that each task created by a rule gets, by
    the system's own names. `reopen_status` is the uuid of the status of a task that is reopened.
    """

    tenant_options: ClassVar[tuple[str, ...]] = ("account_uuid",)
    link_fields: ClassVar[tuple[str, ...]] = (*Account.link_fields, "project.id")

    account_uuid: HeaderText
    timezone: ZoneInfo | None = ZoneInfo("Europe/London")
    fold: Literal[0, 1] = 0
    midnight_is_day: bool = True
    per_minute: int = Field(default=450, ge=1)
    per_page: int = Field(default=500, ge=1, le=500)
    include: tuple[str, ...] = ("custom_fields",)
    subtasks: Literal["include", "exclude", "only"] = "include"
    filters: Mapping[str, str] = Field(default_factory=dict)
    customer_fields: Mapping[str, str] = Field(default_factory=dict)
    create: Mapping[str, Any] = Field(default_factory=dict)
    reopen_status: str | None = None

    def headers(self) -> Mapping[str, str]:
        return {**super().headers(), "X-PLANNR-ACCOUNT-UUID": self.account_uuid}

    @property
    def read_by(self) -> str:
        return super().read_by + written(self.customer_fields)
