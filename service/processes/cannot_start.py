"""Why an embedded server cannot be started."""

from pathlib import Path

from service.errors import TaskbellError


class CannotStart(TaskbellError):
    """An embedded server does not start; the message says which one, where and why."""

    @classmethod
    def because(cls, server: str, folder: Path, reason: str) -> "CannotStart":
        return cls(f"{server} does not start in {folder}: {reason}")
