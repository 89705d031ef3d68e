"""What people and apps say about a task, without a look at it."""

from dataclasses import dataclass
from datetime import datetime

from service.domain.model import Person


@dataclass(frozen=True, slots=True)
class Signal:
    """A message about a task that does not change its state, such as "I am leaving now"."""

    account: str
    task_id: str
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A person has told Taskbell that they have seen a task, and take care of it."""

    account: str
    task_id: str
    by: Person
    at: datetime
