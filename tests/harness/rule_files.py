"""Configurations as tests write them: two accounts, three channels, office hours, and rules."""

from pathlib import Path

from service.config import Config, load, sketch
from service.simulator.rule_tests.runner import RuleTestResult, RuleTestStage, run

ENVIRON = {
    "SLACK_TOKEN": "xoxb-hidden",
    "API_TOKEN": "s3cr3t-value",
    "TASKBELL_URL": "https://tasks.test",
}

HEAD = """\
version: 1
timezone: America/New_York
accounts:
  field: { system: kickserv, base_url: "https://k.test", slug: a, token: "${API_TOKEN}", \
task_types: { "1": job, "2": invoice }, create: { job_id: 1, task_type_id: 1 } }
  london: { system: plannr, base_url: "https://p.test", account_uuid: u, token: "${API_TOKEN}" }
channels:
  slack: { kind: slack, token: "${SLACK_TOKEN}" }
  email: { kind: email, url: "smtp://h.test:25", from: "a@b.test" }
  accounting: { kind: webhook, url: "https://hooks.test/x" }
hours: { office: "Mo-Fr 08:00-17:00; PH off", texting: "Mo-Sa 08:00-20:00; Su 10:00-18:00" }
holidays: { country: US }
"""


def configured(folder: Path, rules: str) -> Config:
    """The configuration with these rules below the usual head."""
    file = folder / "taskbell.yaml"
    file.write_text(f"{HEAD}rules:\n{rules}", encoding="utf-8")
    return load(file, ENVIRON)


async def tried(folder: Path, *rules: str, top: str = "", test: str) -> RuleTestResult:
    """How one test of these rules went."""
    written = "".join(f"  - {rule}\n" for rule in rules)
    file = folder / "taskbell.yaml"
    file.write_text(f"{HEAD}{top}\nrules:\n{written}tests:\n  - {{ {test} }}\n", encoding="utf-8")
    found = sketch(file, {})
    [trial] = found.trials
    return await run(trial, RuleTestStage.of(found))
