"""Files with several faults: all are told in one run, and nothing that only follows from them."""

from pathlib import Path

import pytest

from service.config import check
from tests.harness.rule_files import ENVIRON, HEAD

# The rule's first line is the file's 13th.
FILES = {
    "a trigger that is not there": (
        f"""{HEAD}rules:
- id: r
  when: task.compleet
  if: [task.titel == "x", task.due < now, before.due < now]
  until: before.done
  then: [{{ notify: "slakc:#o", text: "{{{{ task.due | locl }}}}" }}]
""",
        [
            "14:9: there is no event task.compleet",
            "15:13: a task has no titel",
            "15:43: before.due may be missing",
            "16:10: before cannot be used here",
            "17:20: there is no channel slakc",
            "17:53: there is no filter locl",
        ],
    ),
    "no trigger at all": (
        f"""{HEAD}rules:
- id: r
  if: task.done and true
  once_per: [task.tags, task.id, 3]
  accounts: [feild]
  then: [{{ wait: 2x }}, {{ notify: slack, txt: hi }}]
""",
        [
            "13:3: when is missing",
            '14:17: "and" does not fit here',
            "15:14: once_per must be text, a number or a date, not a list",
            "15:34: once_per must be an expression, not the number 3",
            "16:14: there is no account feild",
            '17:18: "2x" is not a duration',
            "17:34: slack needs a target",
            "17:41: unknown key: txt",
        ],
    ),
    "a trigger under a wrong name": (
        f"""{HEAD}rules:
- id: r
  wehn: task.created
  settle: {{ quiet: 2x, max: 3 }}
  expires: soon
  then: [{{ notify: "slack:#o", text: 3 }}, {{ notify: 3, text: "{{{{ x" }}]
""",
        [
            "14:3: unknown key: wehn",
            '15:20: "2x" is not a duration',
            "15:29: 3 has no unit",
            '16:12: "soon" is not a duration',
            "17:38: text must be text, not the number 3",
            "17:53: notify must be text, not the number 3",
            "17:63: {{ is not closed by }}",
        ],
    ),
    "hours that are not there": (
        f"""{HEAD.replace("office", "shop")}rules:
- id: r
  when: {{ task.overdue: 2x }}
  hours: {{ use: offcie, outside: hodl }}
  once_per: task.titel
  then: [{{ wait: 2 business hours }}, {{ notify: customer:details }}]
""",
        [
            '14:25: "2x" is not a duration',
            "15:17: unknown opening hours: offcie",
            '15:34: outside must be hold, skip or ignore, not "hodl"',
            "16:18: a task has no titel",
        ],
    ),
    "rules of one name": (
        f"""{HEAD}rules:
- id: r
  when: task.nope
  then: []
- id: r
  when: task.created
  then: [{{ notify: "slakc:#o", on_undo: threads }}]
- id: r
  when: task.created
  enabled: maybe
  then: [{{ notify: accounting }}]
""",
        [
            "14:9: there is no event task.nope",
            "15:9: then is empty",
            "16:7: two rules have the id r",
            "18:20: there is no channel slakc",
            '18:41: on_undo must be update, thread, retract or nothing, not "threads"',
            "19:7: two rules have the id r",
            '21:12: enabled must be true, false or shadow, not "maybe"',
        ],
    ),
    "steps that write": (
        f"""{HEAD}rules:
- id: r
  when: task.created
  then:
    - create_task: {{ title: 3, due: soon, priority: urgent }}
    - create_task: {{ due: later }}
    - update_task: {{ priority: 3 }}
    - update_task: {{}}
  accounts: [london]
""",
        [
            "16:29: title must be text, not the number 3",
            '16:37: "soon" is not a duration',
            '16:53: priority must be one of low, normal, high, highest, not "urgent"',
            "17:7: title is missing",
            '17:27: "later" is not a duration',
            "18:32: priority must be text, not the number 3",
            "19:20: there is nothing to change",
        ],
    ),
    "what another condition would make sure of": (
        f"""{HEAD}rules:
- id: r
  when: task.created
  if: ["has(task.due) and true", task.due < now]
  then: [{{ notify: "email:{{{{ task.asignee.email | locl }}}}", text: hi }}]
""",
        [
            '15:23: "and" does not fit here',
            "16:30: task.asignee.email does not exist, so nothing would be shown",
            "16:51: there is no filter locl",
        ],
    ),
    "accounts and channels": (
        """version: 1
accounts:
  a: { system: kickserv, slug: a, base_url: k.test, token: abcdefgh, poll: 0s, per_minute: 0 }
  b: { system: planner, poll: 0s, base_url: "ftp://x", webhook: { verify: gihtub } }
  c: { system: plannr, base_url: "https://p", tokn: abcdefgh, webhook: { verify: github, x: 1 } }
channels:
  slack: { kind: slack, retries: 3 }
  mail: { kind: emial, timeout: soon }
rules:
- { id: r, when: task.created, accounts: [c], then: [{ notify: mail }] }
""",
        [
            "3:45: base_url must be an address that begins with https:// or http://",
            "3:76: poll must be at least 1s",
            "3:92: per_minute must be at least 1, not 0",
            '4:16: there is no system "planner"',
            "4:31: poll must be at least 1s",
            "4:45: base_url must be an address that begins with https:// or http://",
            '4:75: verify must be plannr, standard, github, slack, token or none, not "gihtub"',
            "5:3: account_uuid is missing",
            "5:47: unknown key: tokn",
            "5:63: verify: github needs a secret",
            "5:90: unknown key: x",
            "7:3: set either token or webhook_url",
            "7:25: unknown key: retries",
            '8:17: there is no kind "emial"',
            '8:33: timeout: "***" is not a duration',
        ],
    ),
    "parts that are no groups of names": (
        """version: 2
accounts: [a]
chanels:
  slack: { kind: slack, token: xoxb }
hours: office
holidays: { country: US, state: TX }
rules:
- id: r
  when: task.created
  accounts: [a]
  hours: office
  then: [{ wait: 2 business hours }, { notify: slack }]
""",
        [
            "1:10: version must be 1, not 2",
            "2:11: accounts must be a group of keys (key: value), not a list",
            "3:1: unknown key: chanels",
            '5:8: hours must be a group of keys (key: value), not "office"',
            "6:26: unknown key: state",
        ],
    ),
    "hours and holidays": (
        """version: 1
timezone: Nowhere/Land
hours: { office: 3, late: "Mo-Fri 8-17", holi: "24/7; PH off" }
holidays: { contry: US }
rules:
- { id: r, when: task.created, hours: office, then: [{ wait: 1 business day }, { wait: 3 }] }
""",
        [
            '2:11: there is no time zone "Nowhere/Land"',
            "3:18: office must be text, not the number 3",
            "3:33: the opening hours cannot be read here",
            "4:13: unknown key: contry",
            "6:88: 3 has no unit",
        ],
    ),
    "an environment that is empty": (
        """version: 1
accounts:
  a: { system: kickserv, slug: a, base_url: "${URL_}", token: t, poll: "${POLL_}", pol: 2 }
  b: { system: kickserv, slug: b, base_url: "http://b", token: t,
       webhook: { verify: standard, secret: ["${S_}"] } }
""",
        [
            "3:46: URL_ is not set in the environment",
            "3:73: POLL_ is not set in the environment",
            "3:84: unknown key: pol",
            "5:47: S_ is not set in the environment",
        ],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_every_fault_and_no_other(name: str, tmp_path: Path) -> None:
    """One run tells all faults, each at its place, and nothing that is only their consequence."""
    text, expected = FILES[name]
    file = tmp_path / "t.yaml"
    file.write_text(text, encoding="utf-8")
    found = check(file, ENVIRON)
    assert [f"{one.line}:{one.column}: {one.message}" for one in found] == expected
