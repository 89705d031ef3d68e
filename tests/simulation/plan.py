"""The plan of a history: what happens, in which order, and what goes wrong.

It is made from the seed before anything happens, so that a part of it can be left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from tests.simulation.network import Fate


class Act(StrEnum):
    """What happens: what people do in their task system, what time does, and trouble."""

    MAKE = "a task is made"
    FINISH = "is finished"
    REOPEN = "is reopened"
    MOVE = "is moved to begin in {number:g} min"
    RENAME = "is renamed"
    DELETE = "is deleted"
    WAIT = "{number:g} s pass"
    POLL = "somebody asks for a poll"
    KILL = "{process} is killed after {number:g} more waits"
    KILL_CALLING = "{process} is killed while it waits for the answer to its call {number:g}"
    STOP = "{process} is stopped, and started again"
    FREEZE = "{process} stands still for {number:g} s"
    CUT_BEFORE = "{process} loses its connection before its statement {number:g}"
    CUT_AFTER = "{process} loses its connection after its statement {number:g}"
    CRASH = "the database crashes"
    LOSE = "the database crashes, and loses the next commit that it need not have on the disk"
    CLOCK = "the clock of {process} is {number:g} s ahead"
    SPOIL = "the next {number:g} calls to {host}: each {fate}"


OFFICE = (Act.MAKE, Act.FINISH, Act.REOPEN, Act.MOVE, Act.RENAME, Act.DELETE)
WORKERS = 2
TASKS = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens, and how long it then takes until the next.

    - `which`: the task, or the process
    - `copies`: after how many seconds the webhook about it comes, each time that it does
    - `is_hint`: whether that has only an id
    """

    act: Act
    which: int = 0
    number: float = 0
    copies: tuple[float, ...] = ()
    is_hint: bool = False
    host: str = ""
    fate: Fate | None = None
    pause: float = 0.0

    def __str__(self) -> str:
        process = f"worker {self.which + 1}" if self.which < WORKERS else "the web process"
        said = self.act.format(
            number=self.number, process=process, host=self.host, fate=self.fate and self.fate.value
        )
        if self.act not in OFFICE:
            return said
        body = "an id" if self.is_hint else "all of it"
        came = " and ".join(f"{after:g} s" for after in self.copies)
        news = f"a webhook with {body} comes after {came}" if came else "its webhook gets lost"
        return f"task {self.which + 1}: {said}; {news}"


_WEIGHTS = {
    Act.MAKE: 2,
    Act.FINISH: 5,
    Act.REOPEN: 2,
    Act.MOVE: 5,
    Act.RENAME: 1,
    Act.DELETE: 1,
    Act.WAIT: 7,
    Act.POLL: 1,
}
_TROUBLE = {
    Act.KILL: 4,
    Act.KILL_CALLING: 4,
    Act.STOP: 1,
    Act.FREEZE: 2,
    Act.CUT_BEFORE: 2,
    Act.CUT_AFTER: 3,
    Act.CRASH: 1,
    Act.LOSE: 1,
    Act.CLOCK: 1,
    Act.SPOIL: 8,
}
# How many kinds of trouble a history may have: few, so that many seeds have the same few.
_KINDS = (0, 1, 1, 2, 3)
_SHARE = 12.0  # the weight of all trouble beside that of everything else
_MINUTES = (5, 29, 33, 45, 240)
_NUMBERS: Mapping[Act, Sequence[float]] = {
    Act.MAKE: _MINUTES,
    Act.MOVE: _MINUTES,
    Act.WAIT: (1.5, 14, 14, 70, 310, 1900),
    Act.KILL: range(40),
    Act.KILL_CALLING: range(4),
    Act.FREEZE: (3, 10, 40),
    Act.CUT_BEFORE: range(30),
    Act.CUT_AFTER: range(30),
    Act.CLOCK: (-110, -20, 20, 110, 7200),
    Act.SPOIL: (1, 2, 3),
}
_HOSTS = {"the task system": 1, "accounting": 2, "sms": 2}
_FATES = dict.fromkeys(Fate, 1) | {Fate.UNANSWERED: 3, Fate.SLOW: 2}
_PAUSES = (0.0, 0.0, 0.1, 1.0, 3.0)  # seconds, at most
_HINTS = 0.2  # of all webhooks, so many have only an id
# What has an outcome that Taskbell knows, so that nothing may arrive twice, or remain unknown.
_CLEAR = frozenset({Fate.REFUSED, Fate.FAILED, Fate.BUSY, Fate.SLOW})
_HARMLESS = frozenset({*_WEIGHTS, Act.CUT_BEFORE, Act.CRASH})


def is_calm(steps: Sequence[Step]) -> bool:
    """Whether nothing goes wrong."""
    return all(step.act in _WEIGHTS for step in steps)


def is_clear(steps: Sequence[Step]) -> bool:
    """Whether nothing goes wrong that leaves open what was carried out."""
    return all(step.act in _HARMLESS or step.fate in _CLEAR for step in steps)


def plan(seed: int) -> Sequence[Step]:
    """What happens in the history of this seed; every fifth has no trouble."""
    random = Random(f"{seed}: plan")  # noqa: S311 (chance that can be repeated is the point)
    kinds = random.choices(list(_TROUBLE), list(_TROUBLE.values()), k=_KINDS[seed % len(_KINDS)])
    weights = _WEIGHTS | {kind: _SHARE / len(kinds) for kind in kinds}
    acts = random.choices(list(weights), list(weights.values()), k=random.randint(3, 7))
    return [_step(act, random) for act in acts]


def _step(act: Act, random: Random) -> Step:
    which = random.randrange(TASKS) if act in OFFICE else random.choice((0, 0, 1, 1, 2))
    number = float(random.choice(_NUMBERS.get(act, (0,))))
    step = Step(act, which, number, pause=random.choice(_PAUSES) * random.random())
    if act in OFFICE:
        copies = tuple(_delay(random) for _ in range(random.choice((0, 1, 1, 1, 1, 2, 2))))
        return replace(step, copies=copies, is_hint=random.random() < _HINTS)
    if act is Act.SPOIL:
        [host] = random.choices(list(_HOSTS), list(_HOSTS.values()))
        [fate] = random.choices(list(_FATES), list(_FATES.values()))
        return replace(step, host=host, fate=fate)
    return step


def _delay(random: Random) -> float:
    """Most webhooks come soon, some so late that others overtake them."""
    longest = random.choice((0.3, 0.3, 2.0, 20.0, 90.0))
    return round(random.random() * longest, 3)
