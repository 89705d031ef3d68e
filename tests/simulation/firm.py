"""The firm of every history: its configuration, and its tasks on the morning on which it begins."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from service.config import Config, load
from tests.simulation.task_system import TaskSystem

ACCOUNT = "field"
BEGIN = datetime(2026, 3, 6, 12, tzinfo=UTC)  # a Friday; seven o'clock in New York
_TEXT = """\
version: 1
timezone: America/New_York
accounts:
  field: { system: kickserv, base_url: "https://kickserv.test", slug: acme, token: "${TOKEN}",
           poll: 5m, full_scan: 1h, create: { job_id: 1, task_type_id: 1 },
           webhook: { verify: none } }
channels:
  accounting: { kind: webhook, url: "https://accounting.test/hook", rate: 100/s }
  planning: { kind: webhook, url: "https://planning.test/hook" }
  sms: { kind: twilio, account_sid: AC1, token: "${TOKEN}", from: "+14155550100",
         country_code: "+1" }
rules:
- { id: done, when: task.completed, then: [{ notify: accounting }] }
- { id: moved, when: task.rescheduled, then: [{ notify: planning }] }
- { id: new, when: task.created, then: [{ notify: customer:details }] }
- { id: soon, when: { task.starting_soon: 30m }, once_per: [task.id, task.start],
    then: [{ notify: customer:on_the_way }] }
- { id: again, when: task.reopened, then: [{ create_task: { title: "Ask {{ task.title }}" } }] }
- { id: thanks, when: task.completed, then: [{ notify: "sms:{{ task.customer.phone }}",
    text: "{{ task.title }} is done" }] }
- { id: quiet, when: task.changed, settle: 10s, then: [{ notify: accounting }] }
"""


def firm() -> Config:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "taskbell.yaml"
        file.write_text(_TEXT, encoding="utf-8")
        return load(file, {"TOKEN": "simulated"})


def fill(system: TaskSystem) -> list[str]:
    """Make the tasks that there are when a history begins; returns their ids."""
    starts = [BEGIN + timedelta(minutes=minutes) for minutes in (40, 1500)]
    return [make(system, f"job {number}", start) for number, start in enumerate(starts, 1)]


def make(system: TaskSystem, name: str, start: object) -> str:
    task = system.emulation.make(name=name, scheduled_at=start)
    task_id = str(task["id"])
    system.note(task_id)
    return task_id
