"""`taskbell user`: people who may sign in at the page."""

import sys
from io import StringIO
from typing import Annotated

import typer
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from service.cli.output.console import AsJson, err, print_line, show_json
from service.config.users import NAME_HINT, is_name
from service.domain.actors import Role
from service.settings import passwords

app = typer.Typer(help="Add people who may sign in at the page.", no_args_is_help=True)

_WIDE = 1000  # characters of a line
_LONGEST = 1000  # characters of a password

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name that they sign in with.")]
MayDo = Annotated[
    Role,
    typer.Option(
        "--role", help="viewer: may read. operator: may also decide. admin: may do everything."
    ),
]


@app.command()
def add(name: Name, role: MayDo = Role.OPERATOR, *, as_json: AsJson = False) -> None:
    """Ask for a password and print the lines that let somebody sign in.

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
