"""`taskbell user`: people who may sign in at the page."""

import sys
from io import StringIO
from typing import Annotated, Any

import typer
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from service import config
from service.cli.instance import at_work
from service.cli.output.console import AsJson, err, print_line, say, show_json, show_rows
from service.config.users import NAME_HINT, is_name, key_of
from service.diagnostics import did_you_mean
from service.domain.actors import Role
from service.errors import TaskbellError
from service.settings import passwords, read_settings

app = typer.Typer(
    help="Add, list and remove people who may sign in at the page.", no_args_is_help=True
)

_COLUMNS = ("name", "role", "file")
_NONE = "no users: `taskbell user add NAME` prints what makes one"

_WIDE = 1000  # characters of a line
_LONGEST = 1000  # characters of a password

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name that they sign in with.")]
MayDo = Annotated[
    Role,
    typer.Option(
        "--role", help="viewer: may read. operator: may also decide. admin: may do everything."
    ),
]


class NoSuchUser(TaskbellError):
    """The configuration has no user of this name."""


@app.command()
def add(name: Name, role: MayDo = Role.OPERATOR, *, as_json: AsJson = False) -> None:
    """Ask for a password and print the lines that let a person sign in.

    Put them into the configuration: this command changes no file. Without a terminal, the password
    is the first line of the standard input.
    """
    if not is_name(name):
        raise typer.BadParameter(f"{name} cannot be a user's name: {NAME_HINT}")
    user = {"role": str(role), "password": passwords.hashed(_password())}
    if as_json:
        show_json({"name": name, **user})
        return
    err.print("Put these lines into the configuration:", soft_wrap=True)
    print_line(_yaml(name, user))


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the people who may sign in, with their role and the line of the configuration."""
    show_rows(_rows(), _COLUMNS, _NONE, as_json=as_json)


@app.command()
def remove(name: Name, *, as_json: AsJson = False) -> None:
    """Say which lines to delete so that a person can no longer sign in.

    This command changes no file. Their sessions end as soon as Taskbell uses the new file.
    """
    rows = _rows()
    found = [one for one in rows if key_of(one["name"]) == key_of(name)]
    if not found:
        hint = did_you_mean(name, [one["name"] for one in rows]) or "see `taskbell user list`"
        raise NoSuchUser(f"there is no user {name}; {hint}")
    [user] = found
    says = f"Delete {user['name']} under users: in the configuration, {user['file']}"
    say(f"{says}. This command changes no file.", user, as_json=as_json)


def _rows() -> list[dict[str, Any]]:
    """The users as they are written; their passwords are left out."""
    path = at_work(read_settings()).taskbell_config
    users = config.users_in(path)
    return [{"name": one.name, "role": str(one.role), "file": place} for one, place in users]


def _password() -> str:
    if sys.stdin.isatty():
        given: str = typer.prompt(
            "Password", hide_input=True, confirmation_prompt="The same again", err=True
        )
    else:
        given = sys.stdin.readline(_LONGEST + 2).rstrip("\r\n")
    if len(given) > _LONGEST:
        raise typer.BadParameter(f"the password has more than {_LONGEST} characters")
    try:
        passwords.demand_long(given)
    except PydanticCustomError as error:
        raise typer.BadParameter(str(error)) from None
    return given


def _yaml(name: str, user: dict[str, str]) -> str:
    writer, text = YAML(), StringIO()
    writer.width = _WIDE
    password = DoubleQuotedScalarString(user["password"])
    writer.dump({"users": {name: {**user, "password": password}}}, text)
    return text.getvalue().rstrip()
