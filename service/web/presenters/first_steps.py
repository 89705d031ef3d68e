"""The form for a first account, and the configuration that it makes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from service.config import load_texts
from service.document.files import Folder
from service.errors import ConfigError
from service.sources import Source, systems, title_of
from service.web.parameters import is_text

NAMES = ("system", "name", "base_url", "company", "variable", "timezone")
_LONGEST = 200
_LABELS = {"name": "Name", "base_url": "Address", "company": "Company", "timezone": "Time zone"}
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_FILE = "taskbell.yaml"


@dataclass(frozen=True, slots=True)
class FirstForm:
    """A form as it was filled in: texts by the names of its fields.

    `text` is the configuration that it makes; there is none if there are `faults`, in words.
    """

    fields: Mapping[str, str]
    text: str = ""
    faults: Sequence[str] = ()


def blank_form(system: str, zone: str) -> FirstForm:
    """The form for a system with what most people would enter."""
    fields = {
        "system": system,
        "name": system,
        "base_url": systems()[system].guide.base_url,
        "company": "",
        "variable": f"{system.upper()}_TOKEN",
        "timezone": zone,
    }
    return FirstForm(fields)


def read_first_form(said: Mapping[str, str]) -> FirstForm | None:
    """The form as it was sent; None if it is for no known system."""
    fields = {name: said.get(name, "").strip() for name in NAMES}
    source = systems().get(fields["system"])
    if source is None:
        return None
    faults = _faults(fields)
    if not _VARIABLE.fullmatch(fields["variable"]):
        # It may be the token itself: it is not shown again.
        fields["variable"] = ""
    form = FirstForm({name: text[:_LONGEST] for name, text in fields.items()}, faults=faults)
    return form if faults else _checked(replace(form, text=_written(fields, source)))


def _faults(fields: Mapping[str, str]) -> list[str]:
    found = [
        f"{label}: at most {_LONGEST} characters on one line, without $"
        for name, label in _LABELS.items()
        # A reference would read the environment, or a file.
        if not is_text(fields[name], _LONGEST) or "$" in fields[name]
    ]
    if not _VARIABLE.fullmatch(fields["variable"]):
        found.append(
            "Variable: enter a name of capital letters, digits and _, such as"
            f" {fields['system'].upper()}_TOKEN, and not the token itself"
        )
    return found


def _checked(form: FirstForm) -> FirstForm:
    """The form with what `taskbell check` says against its configuration."""
    environ = {form.fields["variable"]: "a-token"}
    try:
        warnings = load_texts([(_FILE, form.text)], Folder(Path()), environ).warnings
    except ConfigError as error:
        warnings = tuple(error.faults)
    said = [f"{one.message}{f'; {one.hint}' if one.hint else ''}" for one in warnings]
    return replace(form, text="", faults=said) if said else form


def _written(fields: Mapping[str, str], source: type[Source]) -> str:
    """The file: texts are quoted as in JSON, which YAML reads as well."""
    account = {"system": fields["system"], "base_url": fields["base_url"]}
    if source.guide.company and fields["company"]:
        account[source.options.tenant_options[0]] = fields["company"]
    account["token"] = f"${{{fields['variable']}}}"
    lines = [f"    {name}: {_quoted(value)}" for name, value in account.items()]
    return "\n".join(
        [
            f"# Taskbell: the first account, of {title_of(fields['system'])}.",
            "version: 1",
            f"timezone: {_quoted(fields['timezone'])}",
            "accounts:",
            f"  {_quoted(fields['name'])}:",
            *lines,
            "",
        ]
    )


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
