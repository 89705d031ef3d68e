"""The configuration while Taskbell runs: read anew when its files change, used as a whole or not.

Under `taskbell serve` the supervisor alone looks at the files. It says on each program's standard
input what they hold, so that all take over the same text, and one that is started again while the
files have faults gets the text that had none. A process that is started by itself looks itself.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import orjson

from service.config import Config, load_texts
from service.errors import ConfigError
from service.faults import Fault, Severity

Texts: TypeAlias = Sequence[tuple[str, str]]
"""The name and the text of each file."""


@dataclass(frozen=True, slots=True)
class Word:
    """What is said of a configuration's files: their texts, or why they cannot be used."""

    texts: Texts = ()
    faults: Sequence[Fault] = ()

    def line(self) -> bytes:
        return orjson.dumps(self) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        said = orjson.loads(line)
        faults = [Fault(**{**one, "severity": Severity(one["severity"])}) for one in said["faults"]]
        return cls(tuple((name, text) for name, text in said["texts"]), tuple(faults))


@dataclass(frozen=True, slots=True)
class Reading:
    """A word and what it comes to: a configuration, or None where there are faults."""

    word: Word
    config: Config | None

    def demand(self) -> Config:
        """The configuration, or ConfigError with the faults."""
        if self.config is None:
            raise ConfigError(self.word.faults)
        return self.config


async def read_each(
    words: AsyncIterator[Word], environ: Mapping[str, str]
) -> AsyncIterator[Reading]:
    """What each word comes to, with values put in from `environ` and from files."""
    async for word in words:
        yield _read(word, environ)


async def handed(lines: AsyncIterator[bytes]) -> AsyncIterator[Word]:
    """What the supervisor says."""
    async for line in lines:
        yield Word.from_line(line)


def _read(word: Word, environ: Mapping[str, str]) -> Reading:
    if word.faults:
        return Reading(word, None)
    try:
        return Reading(word, load_texts(word.texts, environ))
    except ConfigError as error:
        return Reading(Word(faults=error.faults), None)
