"""Options and field names of Kickserv accounts.

The names of a task's fields are not documented, and an account may use others: each is an option
here, and the source reads and writes by these.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from service.diagnostics import refused
from service.sources.account import Account, written
from service.sources.payload import SECRETS

# Everything else of a person stays outside: a whole employee carries password_salt,
# encrypted_password and remember_token.
_OF_PEOPLE = ("id", "name", "first_name", "last_name", "email_address", "phone_number")
_OF_JOBS = ("id", "name")


def _readable(name: str) -> str:
    if name in SECRETS:
        raise refused(f"{name} is a secret, which is not read")
    return name


class FieldNames(BaseModel):
    """Kickserv's names in this account for the fields of a task.

    `title`, `description` and `type` are the names of text fields. `start`, `end` and `due` are the
    names of date fields. `done` is the name of the field that has a date, a time or true once a
    task is done. `created_at` and `updated_at` are the names of the times at which it was created
    and last changed. `project` is the name of the job, in which `job_number` and `job_status` are
    those of its fields. `customer` and `contact` are the names of the person it is for. `assignees`
    is the name of the list of employees, in which `number` is that of their number. `email` and
    `phone` are the names of these fields of people and customers. `customer_tags` is the name of
    the list of tags of a customer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    title: str = "name"
    description: str = "description"
    type: str = "task_type_id"
    start: str = "scheduled_at"
    end: str = "ends_at"
    due: str | None = None
    done: str | None = None
    created_at: str = "created_at"
    updated_at: str = "updated_at"
    project: str = "job"
    customer: str = "customer"
    contact: str = "contact"
    assignees: str = "employees"
    number: str = "employee_number"
    email: str = "email"
    phone: str = "phone"
    customer_tags: str = "tags"
    job_number: str = "job_number"
    job_status: str = "status"

    @field_validator("*")
    @classmethod
    def _is_no_secret(cls, name: str | None) -> str | None:
        return None if name is None else _readable(name)


class KickservAccount(Account):
    """An employee's view of a Kickserv account; `token` is that employee's.

    `slug` is the name of the account in the addresses of its pages. `per_page` is how many tasks
    are asked for at once. `days_back` and `days_ahead` are how many days before and after today
    each poll reads, in `timezone`; other tasks are read once per `full_scan`.
    `job_id` and `employee_number` say which tasks are listed. `fields` has the names of fields that
    differ in this account. `completed_field` is the field that says when a task was done, if
    `fields` has no `done`. `task_types` gives task_type_id a word. `opted_out_field` is the field
    of a customer that is true if they want no messages. `customer_fields` has the fields of a
    customer that rules can use, each by its name in rules with the name in Kickserv, such as
    custom_text1; all others are not read. `create` has the fields that each task
    created by a rule gets, by the system's own names. `closed_jobs` lists the states of a job that
    is closed.
    """

    tenant_options: ClassVar[tuple[str, ...]] = ("slug",)
    # People know a job by its number, which is not its id.
    link_fields: ClassVar[tuple[str, ...]] = (
        *Account.link_fields,
        "project.id",
        "fields.job_number",
    )

    slug: str
    per_page: int = Field(default=100, ge=1)
    days_back: int = Field(default=30, ge=0)
    days_ahead: int = Field(default=60, ge=0)
    job_id: str | int | None = None
    employee_number: str | int | None = None
    fields: FieldNames = FieldNames()
    completed_field: Literal["completed_on", "completed_at"] = "completed_on"
    opted_out_field: str | None = None
    customer_fields: Mapping[str, Annotated[str, AfterValidator(_readable)]] = Field(
        default_factory=dict
    )
    task_types: Mapping[str, str] = Field(default_factory=dict)
    create: Mapping[str, Any] = Field(default_factory=dict)
    closed_jobs: tuple[str, ...] = ("completed", "closed", "cancelled", "canceled", "lost", "paid")

    def headers(self) -> Mapping[str, str]:
        token = self.token.get_secret_value()
        basic = b64encode(f"{token}:{token}".encode()).decode()
        return {"Authorization": f"Basic {basic}", "Accept": "application/json"}

    @property
    def links(self) -> str:
        # The address by which the API knows the task, without its ".json".
        slug = quote(self.slug, safe="")
        return self.url or f"{self.base_url.rstrip('/')}/{slug}/tasks/{{id}}"

    @property
    def done_field(self) -> str:
        """The field that says that a task is done."""
        return self.fields.done or self.completed_field

    @property
    def is_done_field_configured(self) -> bool:
        """Whether the account configures that field, so that it is not a guess."""
        return self.fields.done is not None or "completed_field" in self.model_fields_set

    @property
    def filters(self) -> Mapping[str, str | int]:
        """The query parameters of every list."""
        asked: dict[str, str | int] = {}
        if self.job_id is not None:
            asked["job_id"] = self.job_id
        if self.employee_number is not None:
            asked |= {"mapping": "true", "employee_number": self.employee_number}
        return asked

    @property
    def kept(self) -> tuple[str, ...]:
        """The fields of a task that are stored, except for its relations."""
        names = self.fields
        told = (names.title, names.description, names.type, names.start, names.end, names.due)
        return ("id", *filter(None, told), self.done_field, names.created_at, names.updated_at)

    @property
    def of_people(self) -> tuple[str, ...]:
        """The fields of employees that are stored."""
        return (*_OF_PEOPLE, self.fields.email, self.fields.number)

    @property
    def of_connected(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The fields of a task's job, customer and contact that are stored, each by its name."""
        names = self.fields
        reached = (*_OF_PEOPLE, names.email, names.phone, names.customer_tags)
        own = (*self.customer_fields.values(), *filter(None, [self.opted_out_field]))
        yield names.project, (*_OF_JOBS, names.job_number, names.job_status)
        yield from ((glue, (*reached, *own)) for glue in (names.customer, names.contact))

    @property
    def words(self) -> Mapping[str, str]:
        """The names in writes that differ from those of the rule language."""
        names = self.fields
        return {
            "title": names.title,
            "description": names.description,
            "start": names.start,
            "end": names.end,
            "due": names.due or names.end,
            "project": "job_id",
            "customer": "customer_id",
            "assignee": "employee_ids",
            "type": names.type,
        }

    @property
    def read_by(self) -> str:
        return super().read_by + written(self.customer_fields)
