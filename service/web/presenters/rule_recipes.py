"""Recipes: rules of docs/recipes.md as forms, from which a rule is made that can be changed."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template

import orjson

from service.config import Config
from service.document.reading import Document
from service.web.parameters import is_text

_LONGEST = 200
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_PLAIN = re.compile(r"[A-Za-z][\w.-]*(:[#@]?[\w.@-]+)?|\d+ ?[a-z]*( hours?| days?)?", re.ASCII)
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
_WORDS = frozenset({"true", "false", "null"})
_PLACEHOLDER = re.compile(r"\$(\w+)")
_LABELS = {
    "account": "Account",
    "channel": "Channel",
    "target": "Recipient",
    "hours": "Opening hours",
    "time": "Time",
    "wait": "How long, such as 1h",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A rule in which `$channel` and the like stand for what a person fills in.

    A line whose field is empty is left out. `fields` has the defaults of the fields beside channel
    and account. `kind`: only channels of this kind can be used.
    """

    name: str
    title: str
    about: str
    rule: str
    fields: Mapping[str, str]
    kind: str = ""

    @property
    def asked(self) -> Sequence[str]:
        """The names of all fields of its form."""
        return ["channel", *self.fields, "account"]


@dataclass(frozen=True, slots=True)
class RecipeField:
    """A field of a recipe's form; with `choices` it is a list to choose from."""

    name: str
    label: str
    value: str
    choices: Sequence[str] = ()


@cache
def recipes() -> Mapping[str, Recipe]:
    """Every recipe by its name."""
    text = (resources.files("service.web") / "recipes.yaml").read_text(encoding="utf-8")
    data = Document([("recipes.yaml", text)]).data
    return {name: Recipe(name, **one) for name, one in data.items()}


def offered(config: Config) -> Sequence[tuple[Recipe, Sequence[RecipeField]]]:
    """The recipes that the channels of a configuration allow, with the fields of their forms."""
    found = [(recipe, _channels(recipe, config)) for recipe in recipes().values()]
    return [(recipe, _fields(recipe, config, channels)) for recipe, channels in found if channels]


def written(recipe: Recipe, said: Mapping[str, str], config: Config, taken: Collection[str]) -> str:
    """The rule with what a person filled in, under an id that is not taken.

    Raises ValueError that says what is wrong.
    """
    fields = _read(recipe, said, config)
    values = {name: _scalar(value) for name, value in fields.items() if value}
    # These stand in quotation marks already, and can hold none.
    values |= {name: fields[name] for name in ("time", "channel") if fields.get(name)}
    values["receiver"] = _scalar(f"{fields['channel']}:{fields.get('target', '')}".rstrip(":"))
    kept = [line for line in recipe.rule.splitlines() if _names(line) <= values.keys()]
    text = "\n".join(kept).replace(f"id: {recipe.name}", f"id: {_free(recipe.name, taken)}", 1)
    return Template(text).substitute(values) + "\n"


def _read(recipe: Recipe, said: Mapping[str, str], config: Config) -> dict[str, str]:
    fields = {}
    for field in _fields(recipe, config, _channels(recipe, config)):
        value = said.get(field.name, "").strip()
        if value and not is_text(value, _LONGEST):
            raise ValueError(f"{field.label}: at most {_LONGEST} characters on one line")
        if field.choices and value not in field.choices:
            raise ValueError(f"{field.label}: choose one of the list")
        fields[field.name] = value
    return fields | _clock(fields["time"]) if "time" in fields else fields


def _channels(recipe: Recipe, config: Config) -> list[str]:
    return [name for name, kind in config.kinds.items() if recipe.kind in ("", kind)]


def _fields(recipe: Recipe, config: Config, channels: Sequence[str]) -> list[RecipeField]:
    """The fields of the form; an empty choice leaves its line out."""
    hours = orjson.loads(config.text).get("hours") or {}
    choices = {"hours": ("", *hours)}
    return [
        RecipeField("channel", _LABELS["channel"], next(iter(channels), ""), channels),
        *(
            RecipeField(name, _LABELS[name], value, choices.get(name, ()))
            for name, value in recipe.fields.items()
        ),
        RecipeField("account", _LABELS["account"], "", ("", *config.accounts)),
    ]


def _names(line: str) -> set[str]:
    return set(_PLACEHOLDER.findall(line))


def _clock(text: str) -> dict[str, str]:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("Time: write it as 16:00")
    hour, minute = int(found[1]), int(found[2])
    return {"time": f"{hour:02}:{minute:02}", "hour": str(hour), "minute": str(minute)}


def _scalar(text: str) -> str:
    """The text as a value in YAML, in quotation marks if it could be read as something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted = orjson.dumps(text).decode()
    # YAML reads these as line ends, also in quotation marks.
    return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _free(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbered) if one not in taken)
