"""Tasks as tests make them, and as Hypothesis does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from service.domain.model import Customer, Person, Task

START = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)

BO = Person(id="7", name="Bo", email="bo@x.test")
ANN = Person(id="8", name="Ann", email="ann@x.test")
SMITH = Customer(id="c1", name="Smith", email="smith@x.test", phone="+1 555 0100")
VIP = replace(SMITH, tags=("vip",), groups=("North",), fields={"level": "gold", "visits": 0})


def task(task_id: str = "T1", account: str = "london", **fields: Any) -> Task:
    """An open task titled "Smith gutters", with these fields changed."""
    return Task(
        **{"id": task_id, "account": account, "system": "plannr", "title": "Smith gutters"} | fields
    )


moments = st.none() | st.integers(-72, 72).map(lambda hours: START + timedelta(hours=hours))
texts = st.text(max_size=12)
people = st.none() | st.sampled_from([BO, ANN])

tasks = st.builds(
    task,
    title=texts,
    description=st.none() | texts,
    status=st.sampled_from([None, "open", "done", "waiting"]),
    done=st.booleans(),
    archived=st.booleans(),
    completed_by=people,
    priority=st.sampled_from([None, "low", "normal", "high"]),
    due=moments,
    start=moments,
    end=moments,
    updated_at=moments,
    assignee=people,
    customer=st.none() | st.sampled_from([SMITH, VIP]),
    tags=st.lists(texts, max_size=2).map(tuple),
    fields=st.dictionaries(
        texts, st.integers(-(2**63), 2**64 - 1) | texts | st.booleans(), max_size=2
    ),
)
