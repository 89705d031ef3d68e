"""What was decided and sent, in a form in which work, simulations and replays can be compared."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from service.outbox.rows import row_of
from service.simulator import Simulator
from service.simulator.memory.deliveries import Delivery


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that was decided and planned, and what has become of it."""

    decisions: list[str]
    deliveries: list[str]


def record(first: int, decided: Sequence[Any], sent: Sequence[Any]) -> Record:
    """A record whose events count from 1, whatever numbers the database has given them."""
    decisions = [{**row, "event": row["event"] - first} for row in map(dict, decided)]
    deliveries = [_numbered(dict(row), first) for row in sent]
    return Record(
        sorted(_text(row) for row in decisions),
        sorted(_text(row) for row in deliveries),
    )


def _text(row: dict[str, Any]) -> str:
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode()


def _numbered(row: dict[str, Any], first: int) -> dict[str, Any]:
    key = re.sub(
        r"^(event:|field:\[\")(\d+)(?=$|/|\",)",
        lambda found: f"{found[1]}{int(found[2]) - first}",
        str(row["once_key"]),
    )
    key = re.sub(r"/undone:\d+$", "", key)  # what was taken back stands in nobody's way
    fields = orjson.loads(row["fields"]) if isinstance(row["fields"], str) else row["fields"]
    instead = row["on_fail"]
    if isinstance(instead, str):
        instead = orjson.loads(instead)
    instead = [{**one, "once_key": key} for one in instead or ()]
    if key.startswith(("undo:", "approve:")):  # the number of another delivery
        key = key.partition(":")[0]
    return {
        **row,
        "event": row["event"] - first,
        "once_key": key,
        "fields": fields,
        "on_fail": instead,
    }


def record_of(trial: Simulator) -> Record:
    """The record of a simulation."""
    decided = [asdict(one) for one in trial.tx.decisions.recorded]
    sent = [columns(one) for one in trial.tx.outbox.deliveries]
    return record(0, decided, sent)


def columns(one: Delivery) -> dict[str, Any]:
    """A rehearsed delivery as its row in the database would be."""
    order, plan = one.request, one.request.plan
    return {
        "event": one.event,
        "rule": order.rule,
        "step": plan.step,
        "once_key": plan.once_key if one.updates is None else "undo:",
        "channel": plan.channel,
        "target": plan.target,
        "text": one.text,
        "subject": plan.subject,
        "fields": plan.fields if one.updates is None else None,
        "state": one.state,
        "reason": one.reason,
        "created_at": one.created_at,
        "settled_at": one.settled_at,
        "expires_at": plan.expires_at if one.updates is None else None,
        "shadow": order.shadow,
        "on_fail": row_of(order, one.created_at)["on_fail"] if one.updates is None else None,
        "rewrites": one.updates is not None,
    }


def essence(row: Mapping[str, Any]) -> str:
    """What of a delivery can be foretold."""
    return _text({name: row[name] for name in ("settled_at", "rule", "step", "target", "text")})


def sent_after(record: Record, moment: datetime) -> list[str]:
    """What went out after that, other than what rewrites a message."""
    rows = [orjson.loads(text) for text in record.deliveries]
    sent = [row for row in rows if row["state"] == "sent" and not row["rewrites"]]
    return sorted(essence(row) for row in sent if row["settled_at"] > moment.isoformat())
