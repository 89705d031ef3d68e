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
    """A person says that they take care of a task."""

    account: str
    task_id: str
    by: Person
    at: datetime
