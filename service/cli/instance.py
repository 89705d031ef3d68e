"""Which Taskbell is meant by a command that is typed in another terminal."""

from pathlib import Path

from service import embedded
from service.errors import TaskbellError
from service.settings import Settings


class NothingHere(TaskbellError):
    """No database is named and no Taskbell has kept anything here; says where to go."""

    def __init__(self, data: Path) -> None:
        super().__init__(
            f"There is no Taskbell in {data.resolve()}, and DATABASE_URL is not set."
            " Go to the folder where Taskbell was started, or set DATABASE_URL or TASKBELL_DATA"
            " as they were set there."
        )


def demo_data(data: Path) -> Path:
    """Where the demo keeps what it makes, below the data of everything else."""
    return data / "demo"


def find(settings: Settings) -> Settings:
    """The settings of the Taskbell that is at work in this folder, or else was last.

    Where they name a database, that is the one. The demo is found as well as the real one.
    Raises NothingHere.
    """
    if settings.database_url is not None:
        return settings
    folders = (settings.taskbell_data, demo_data(settings.taskbell_data))
    for is_here in (embedded.is_at_work, embedded.has_data):
        for folder in folders:
            if is_here(folder):
                return settings.model_copy(update={"taskbell_data": folder})
    raise NothingHere(settings.taskbell_data)
