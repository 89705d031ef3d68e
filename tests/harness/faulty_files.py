"""The table of faulty configurations: pages of Markdown, each fault with the exact words it gets.

A case is a heading, the file, and what `taskbell check` prints of it. Where the file is only a
part of a configuration, the rest follows below it, so that its lines keep their numbers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "faulty"
ENVIRON = {"SLACK_TOKEN": "xoxb-hidden", "API_TOKEN": "s3cr3t-value"}
REST = {
    "version": "version: 1\n",
    "accounts": """\
accounts:
  field: { system: kickserv, base_url: "https://k.test", slug: a, token: "${API_TOKEN}", \
task_types: { "1": job, "2": invoice }, create: { job_id: 1, task_type_id: 1 } }
  london: { system: plannr, base_url: "https://p.test", account_uuid: u, token: "${API_TOKEN}" }
""",
    "channels": """\
channels:
  slack: { kind: slack, token: "${SLACK_TOKEN}" }
  email: { kind: email, url: "smtp://h.test:25", from: "a@b.test" }
  accounting: { kind: webhook, url: "https://hooks.test/x" }
""",
    "hours": 'hours: { office: "Mo-Fr 08:00-17:00; PH off", texting: "Mo-Sa 08:00-20:00" }\n',
    "holidays": "holidays: { country: US }\n",
}

_CASE = re.compile(
    r"^## (?P<title>[^\n]+)\n\n```yaml(?P<whole> whole)?\n(?P<text>.*?)```\n\n"
    r"```text\n(?P<expected>.*?)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A faulty file, and what is printed of it."""

    page: str
    title: str
    text: str
    expected: str

    def __str__(self) -> str:
        return f"{self.page}: {self.title}"


def cases() -> list[Case]:
    """Every case of every page."""
    return [case for page in sorted(FOLDER.glob("*.md")) for case in _on(page)]


def _on(page: Path) -> Iterator[Case]:
    for found in _CASE.finditer(page.read_text(encoding="utf-8")):
        text = found["text"] if found["whole"] else _completed(found["text"])
        yield Case(page.stem, found["title"], text, found["expected"])


def _completed(text: str) -> str:
    parts = (part for name, part in REST.items() if not re.search(f"^{name}:", text, re.MULTILINE))
    return text + "".join(parts)
