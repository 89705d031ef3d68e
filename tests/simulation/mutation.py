"""Puts a defect into the code that is imported after it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any


class Outdated(Exception):
    """The code has changed, so that the mutant says nothing any more."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A defect: in the source text of `module`, `old` is replaced by `new`.

    `says` is what is wrong then. `old` has to be there exactly once.
    """

    name: str
    says: str
    module: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The module's source text with the defect; raises Outdated."""
        if text.count(self.old) != 1:
            raise Outdated(
                f"mutant {self.name}: {self.module} has this {text.count(self.old)} times, and"
                f" should have it once; adapt tests/simulation/mutants.py:\n{self.old}"
            )
        return text.replace(self.old, self.new)


def infect(mutant: Mutant) -> None:
    """Have its module imported with the defect; raises Outdated if that was imported before."""
    if mutant.module in sys.modules:
        raise Outdated(f"{mutant.module} was imported before mutant {mutant.name} could change it")
    sys.meta_path.insert(0, _Finder(mutant))


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        loader = _Loader(fullname, spec.origin)
        loader.mutant = self._mutant
        spec.loader = loader
        return spec


class _Loader(SourceFileLoader):
    mutant: Mutant

    def get_code(self, fullname: str) -> CodeType:
        """The code with the defect, which is kept nowhere."""
        path = self.get_filename(fullname)
        text = self.mutant.apply(self.get_data(path).decode())
        return self.source_to_code(text.encode(), path)

    def source_to_code(self, data: Any, path: Any, **_: Any) -> CodeType:  # type: ignore[override]
        code: CodeType = compile(data, path, "exec", dont_inherit=True)
        return code
