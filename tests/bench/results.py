"""What a measurement found, as a file: without dates, names of machines and paths."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import orjson

from service.processes.postgres_programs import find_programs
from tests.bench.figures import Figure


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of the measurement `name`, and the machine in words."""

    name: str
    machine: str
    figures: Sequence[Figure]

    def save(self, folder: Path) -> None:
        """Write `NAME.json`; the folder is made."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {"machine": self.machine, "figures": [asdict(one) for one in self.figures]}
        text = orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        (folder / f"{self.name}.json").write_bytes(text)

    @classmethod
    def read(cls, file: Path) -> Self:
        told = orjson.loads(file.read_bytes())
        return cls(file.stem, told["machine"], [Figure(**one) for one in told["figures"]])


def machine() -> str:
    """Such as "2 cores, Linux, Python 3.11.7, PostgreSQL 18.1"."""
    cores = len(os.sched_getaffinity(0))
    server = subprocess.check_output([find_programs().folder / "postgres", "--version"], text=True)
    return (
        f"{cores} cores, {platform.system()}, Python {platform.python_version()},"
        f" PostgreSQL {server.split()[-1]}"
    )
