"""`taskbell silence`: suppresses messages for a while, with a reason."""

import os
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic_core import PydanticCustomError

from service.cli.database import with_pool
from service.cli.instance import find
from service.cli.output.console import AsJson, out, print_line, say, show_json, show_rows, who
from service.clock import SystemClock
from service.domain.durations import parse_length
from service.domain.operators.silences import LONGEST, Silence, described
from service.errors import ConfigError
from service.outbox import silence_names, silences
from service.outbox.silences import LOOK_BACK, Preview
from service.settings import read_settings
from service.store import Pool

app = typer.Typer(
    help="Suppress certain messages for a while, with a reason.", no_args_is_help=True
)

_CLOCK = SystemClock()
_COLUMNS = ("id", "covers", "ends_at", "reason", "created_by")
_LONGEST_REASON = 500
_ANYWAY = "If you expect it later, add --anyway"

Number = Annotated[
    int, typer.Argument(metavar="NUMBER", help="The silence's number, as `silence list` shows it.")
]


Until = Annotated[
    str,
    typer.Option(
        metavar="WHEN", help='A time such as "2026-03-09 08:00", or a duration such as 2h.'
    ),
]
Reason = Annotated[str, typer.Option(help="The reason. It is shown with every suppressed message.")]
ByRule = Annotated[str | None, typer.Option(help="Suppress messages from this rule.")]
ToPerson = Annotated[
    str | None, typer.Option(metavar="MAIL", help="Suppress messages to this address.")
]
ForCustomer = Annotated[
    str | None,
    typer.Option(metavar="ID|NAME", help="Suppress messages about tasks for this customer."),
]
OfProject = Annotated[
    str | None,
    typer.Option(metavar="ID|NAME", help="Suppress messages about tasks of this project."),
]
InAccount = Annotated[
    str | None, typer.Option(help="Suppress messages about tasks in this account.")
]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Allow a name that Taskbell does not know yet.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show what would be suppressed; change nothing.")
]


@app.command()
def add(
    until: Until,
    reason: Reason,
    rule: ByRule = None,
    person: ToPerson = None,
    customer: ForCustomer = None,
    project: OfProject = None,
    account: InAccount = None,
    *,
    dry_run: DryRun = False,
    anyway: Anyway = False,
    as_json: AsJson = False,
) -> None:
    """Suppress matching messages until the given time.

    With several options, a message must match all of them. The command first shows how many
    messages it suppresses; they become `skipped`. Changes written to a system are not affected.
    Unknown names are refused; use --anyway for a name that will exist later.
    """
    now = _CLOCK.now()
    silence = Silence(
        0, now, end_of(until, now), reason_of(reason), rule, person, customer, project, account
    )
    if not any((rule, person, customer, project, account)):
        raise typer.BadParameter("say which messages to suppress: --rule, --person, --customer, …")

    written = {} if anyway else _written()

    async def work(pool: Pool) -> tuple[Preview, int | None]:
        if not anyway:
            await silence_names.demand_known(pool, silence, written, _ANYWAY)
        preview = await silences.preview(pool, silence, now)
        number = None if dry_run else await silences.add(pool, silence, who())
        return preview, number

    preview, number = with_pool(work)
    if as_json:
        hides = {"pending": preview.pending, "last_30_days": preview.lately}
        show_json({"id": number, "ends_at": silence.ends_at, "hides": hides})
    else:
        _tell(silence, preview, number)


@app.command("list")
def list_(
    *,
    ended: Annotated[
        bool, typer.Option("--all", help="Also show silences that have ended.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the active silences, the one that ends first at the top."""
    rows = with_pool(lambda pool: silences.read(pool, _CLOCK.now(), also_ended=ended))
    shown = rows if as_json else [row | {"covers": described(row)} for row in rows]
    show_rows(shown, _COLUMNS, "no active silences", as_json=as_json)


@app.command()
def expire(number: Number, *, as_json: AsJson = False) -> None:
    """End a silence now. What it has suppressed is not sent later; `outbox list` shows it."""
    now = _CLOCK.now()
    with_pool(lambda pool: silences.expire(pool, number, now, by=who()))
    say(f"silence {number} has ended", {"id": number, "ends_at": now}, as_json=as_json)


def end_of(text: str, now: datetime) -> datetime:
    """A time, in this machine's zone if it has none, or a duration from now."""
    try:
        end = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        end = now + _length(text)
    if end <= now:
        raise typer.BadParameter(f"{text} is in the past", param_hint="--until")
    if end > now + LONGEST:
        raise typer.BadParameter(f"{text} is more than ten years ahead", param_hint="--until")
    return end


def _length(text: str) -> timedelta:
    try:
        return parse_length(text)
    except PydanticCustomError:
        message = f'"{text}" is neither a time such as "2026-03-09 08:00" nor a duration such as 2h'
        raise typer.BadParameter(message, param_hint="--until") from None


def reason_of(reason: str) -> str:
    if not reason.strip() or not reason.isprintable() or len(reason) > _LONGEST_REASON:
        message = f"give a reason of up to {_LONGEST_REASON} printable characters"
        raise typer.BadParameter(message, param_hint="--reason")
    return reason.strip()


def _written() -> dict[str, Collection[str]]:
    """The names in the configuration, by the scopes of silences; empty if it has errors."""
    # Only making a silence needs it, and it takes longer to import than the rest.
    from service import config  # noqa: PLC0415 (see above)

    try:
        sketch = config.sketch(find(read_settings()).taskbell_config, os.environ)
    except ConfigError:
        return {}
    people = [one.email for one in sketch.people.entries.values() if one.email is not None]
    return {
        "rule": [rule.id for rule in sketch.on_trial],
        "account": list(sketch.zones),
        "person": people,
    }


def _tell(silence: Silence, preview: Preview, number: int | None) -> None:
    waiting = "waiting message" if preview.pending == 1 else "waiting messages"
    print_line(
        f"This suppresses {preview.pending} {waiting}. Over the last {LOOK_BACK.days} days it would"
        f" have suppressed {preview.lately}."
    )
    until = silence.ends_at.astimezone().strftime("%a %d %b %Y, %H:%M %Z")
    if number is None:
        says = (
            f"Dry run, nothing was changed. Without --dry-run the silence would last until {until}"
        )
        out.print(says, soft_wrap=True)
    else:
        out.print(f"Silence {number} lasts until {until}", soft_wrap=True)
