"""Builds the texts and fields of a step from the file, or reports their problems."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pydantic_core import PydanticCustomError

from service.diagnostics import Issue, Path, Severity
from service.document.files import Folder
from service.document.messages import must_be
from service.domain.durations import parse_duration
from service.rules.compiler.missing_fields import MissingFields, in_target, in_text
from service.rules.compiler.shapes import PRIORITIES, ChangesShape, NotifyShape
from service.rules.language.templates import Template, template
from service.rules.steps import DATES, Value

_LINKS = frozenset({"unsubscribe_url"})


@dataclass(slots=True)
class TextReader:
    """Builds templates, and adds their problems to `problems`.

    `subjects` are the names that they can use, `folder` is the folder of texts in files, `gaps` has
    the missing fields of the rule's accounts.
    """

    subjects: frozenset[str]
    folder: Folder
    gaps: MissingFields
    problems: list[Issue]

    def fields(self, changes: ChangesShape, path: Path) -> dict[str, Value]:
        """The fields that are written to a task, by name."""
        fields = {}
        for name, text in changes.model_dump(exclude_none=True, exclude={"account"}).items():
            value = self._value(name, text, (*path, name))
            if value is not None:
                fields[name] = value
        return fields

    def text(self, shape: NotifyShape, path: Path) -> Template | None:
        """The text of a message: from the rule, or from a file."""
        if shape.template is None or shape.text is not None:
            return self._told(shape.text, (*path, "text"))
        place = (*path, "template")
        try:
            text = self.folder.text(shape.template)
        except PydanticCustomError as error:
            said = error.context or {}
            self._fault(place, said["message"], said["hint"])
            return None
        made, problems = self._read(text, place, self.subjects | _LINKS)
        file = self.folder.place(shape.template)
        self.problems += [replace(problem, file=file) for problem in problems]
        return made

    def template(self, text: str | None, path: Path, begins: int = 0) -> Template | None:
        """A template of the text at `path`, from the character `begins` on."""
        if not text:
            return None
        made, problems = self._read(text, path, self.subjects)
        self._add(problems, begins)
        return made

    def _told(self, text: str | None, path: Path) -> Template | None:
        """A template of what a receiver reads, which can have a link of their own."""
        if not text:
            return None
        made, problems = self._read(text, path, self.subjects | _LINKS)
        self._add(problems, 0)
        return made

    def target(self, text: str, path: Path, begins: int) -> Template | None:
        """A template that must not render as nothing."""
        made, problems = template(text, path, self.subjects) if text else (None, [])
        self._add(problems, begins)
        if made is not None:
            self._add(in_target(self.gaps, made.reads, path), begins)
        return made

    def _read(
        self, text: str, path: Path, subjects: frozenset[str]
    ) -> tuple[Template | None, list[Issue]]:
        made, problems = template(text, path, subjects)
        if made is None:
            return made, problems
        if not self.gaps.is_known:
            # Rules of the past were good enough then.
            problems = [replace(one, severity=Severity.WARNING) for one in problems]
        return made, [*problems, *in_text(self.gaps, made.reads, path)]

    def _add(self, problems: Iterable[Issue], begins: int) -> None:
        self.problems += [replace(one, offset=begins + (one.offset or 0)) for one in problems]

    def _value(self, name: str, text: str, path: Path) -> Value | None:
        is_plain = "{{" not in text and "{%" not in text
        if name == "priority" and is_plain and text not in PRIORITIES:
            self._fault(path, must_be("priority", f"one of {', '.join(PRIORITIES)}", text))
        if name in DATES and is_plain:
            try:
                return parse_duration(text)
            except PydanticCustomError as error:
                said = error.context or {}
                self._fault(path, said["message"], said["hint"])
                return None
        return self.template(text, path)

    def _fault(self, path: Path, message: str, hint: str | None = None) -> None:
        self.problems.append(Issue(path, message, hint))
