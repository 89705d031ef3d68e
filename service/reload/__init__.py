"""Reloads the configuration while Taskbell runs: a change is loaded as a whole or not at all.

Under `taskbell serve` only the supervisor watches the files. It sends their contents to each
program's standard input, so that all programs use the same text, and a program that is restarted
while the files have errors gets the last valid text. A process that is started by itself watches
the files itself.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import orjson

from service.config import Config, load_texts
from service.diagnostics import Diagnostic, Severity
from service.document.files import Folder
from service.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ConfigSnapshot:
    """The contents of a configuration's files, or the `faults` for which they cannot be used.

    - `texts`: the name and the text of each YAML file
    - `named`: files that those refer to, such as `template: morning.liquid`: text by name in
      `folder`
    - `values`: the values of references; secrets are still `${NAME}` in all the texts
    """

    folder: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    named: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Diagnostic, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def line(self) -> bytes:
        return orjson.dumps(self) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        said = orjson.loads(line)
        texts = tuple((name, text) for name, text in said.pop("texts"))
        faults = tuple(
            Diagnostic(**{**one, "severity": Severity(one["severity"])})
            for one in said.pop("faults")
        )
        return cls(**said, texts=texts, faults=faults)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The contents of the files, and the configuration in them; None if there are `faults`.

    `names` are the files that the configuration refers to, even if they could not be read.
    """

    word: ConfigSnapshot
    config: Config | None = None
    faults: Sequence[Diagnostic] = ()
    names: frozenset[str] = frozenset()

    def demand(self) -> Config:
        """The configuration; raises ConfigError with the errors."""
        if self.config is None:
            raise ConfigError(self.faults)
        return self.config


def read(word: ConfigSnapshot, environ: Mapping[str, str]) -> LoadedConfig:
    """Load a configuration from the contents of its files; secrets come from `environ` and files.

    The snapshot in the result includes the files that the configuration refers to.
    """
    if word.faults:
        return LoadedConfig(word, faults=word.faults)
    folder, recording = Folder(Path(word.folder), word.named), _RecordingEnvironment(environ)
    config, faults = _loaded(word, folder, recording)
    word = replace(word, named=folder.texts, values=recording.used)
    return LoadedConfig(word, config, faults, frozenset(folder.names))


async def read_beside(word: ConfigSnapshot, environ: Mapping[str, str]) -> LoadedConfig:
    """Do what `read` does in a thread: thousands of rules take seconds."""
    return await asyncio.to_thread(read, word, environ)


async def handed(
    lines: AsyncIterator[bytes], environ: Mapping[str, str]
) -> AsyncIterator[LoadedConfig]:
    """Every configuration that the supervisor sends, loaded; one per line."""
    async for line in lines:
        word = ConfigSnapshot.from_line(line)
        yield await read_beside(word, {**environ, **word.values})


class _RecordingEnvironment(Mapping[str, str]):
    """An environment that records which of its values were read, as `used`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.used: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        self.used[name] = self._environ[name]
        return self.used[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def _loaded(
    word: ConfigSnapshot, folder: Folder, environ: Mapping[str, str]
) -> tuple[Config | None, Sequence[Diagnostic]]:
    try:
        return load_texts(word.texts, folder, environ), ()
    except ConfigError as error:
        return None, error.faults
