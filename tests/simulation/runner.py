"""Runs histories: one seed, or one plan, is one history."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.config import Config
from tests.simulation.firm import firm
from tests.simulation.ground import Ground
from tests.simulation.history import live
from tests.simulation.laws import Judged, broken
from tests.simulation.plan import Step, plan


@dataclass(frozen=True, slots=True)
class History:
    """What came of a seed: the same trace, and so the same digest, each time.

    `broken` says which laws it has broken, and how.
    """

    seed: int
    steps: Sequence[Step]
    digest: str
    broken: Sequence[str]
    trace: Sequence[str]

    @property
    def title(self) -> str:
        return f"seed {self.seed}, {self.digest}: {'; '.join(self.broken) or 'all laws hold'}"

    def __str__(self) -> str:
        return "\n".join([self.title, *self.trace])


class Simulation:
    """Histories of one firm, one after the other, on one database."""

    def __init__(self, url: str) -> None:
        self._config: Config = firm()
        self._ground = Ground(url, self._config)

    def run(self, seed: int, steps: Sequence[Step] | None = None) -> History:
        """The history of a seed, or with other steps than its own."""
        steps = plan(seed) if steps is None else steps
        past = live(self._ground.fresh(), self._config, seed, steps)
        judged = Judged(past, self._config, steps)
        return History(seed, steps, past.journal.hexdigest()[:16], broken(judged), past.trace)

    def close(self) -> None:
        self._ground.close()
