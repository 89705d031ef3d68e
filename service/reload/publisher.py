"""The supervisor's side: sends a changed configuration to its programs."""

from collections.abc import AsyncIterator, Callable, Mapping

from service.change_plan import ChangePlan
from service.clock import Clock
from service.processes.supervisor import Supervisor
from service.reload import ConfigSnapshot, LoadedConfig
from service.reload.report import report


class ConfigPublisher:
    """Sends the configuration `good` to programs, and then each later one without errors."""

    def __init__(
        self,
        supervisor: Supervisor,
        good: ConfigSnapshot,
        database: str,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self._supervisor = supervisor
        self._database = database
        self._clock = clock
        self._environ = environ
        self._good = good.line()
        supervisor.tell(self._good, self._good)

    async def run(
        self, readings: AsyncIterator[LoadedConfig], show: Callable[[ChangePlan], None]
    ) -> None:
        """Send each new snapshot, and `show` the effects of the change; runs until cancelled."""
        async for reading in readings:
            if reading.config is None:
                line = ConfigSnapshot(faults=tuple(reading.faults)).line()
                self._supervisor.tell(line, self._good + line)
                continue
            found = await report(self._database, reading.word, self._clock, self._environ)
            self._good = reading.word.line()
            self._supervisor.tell(self._good, self._good)
            if found is not None:
                show(found)
