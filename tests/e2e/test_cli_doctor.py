"""`taskbell doctor`: what it finds, against real servers; and that it sends nothing."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from service import store
from service.clock import SystemClock
from service.doorbell import QUEUE
from service.processes.embedded import EmbeddedValkey
from service.sandbox.app import Sandbox, running
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.plannr import ACCOUNT_UUID
from service.sources import systems
from service.store import accounts, unreadable
from tests.contract.source_rig import sample
from tests.harness.commands import Result, taskbell
from tests.harness.receivers import Answer, HttpReceiver, Request
from tests.harness.running import free_port
from tests.harness.smtp_receiver import SmtpReceiver

LOCAL = {"version": 1, "network": {"allow": ["127.0.0.0/8"]}}
CONFIGURATION = """\
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
  field:
    system: kickserv
    base_url: "{sandbox}/kickserv"
    slug: acme
    token: sandbox
    webhook: {{ verify: token, secret: s3cret-of-the-door }}
channels:
  slack: {{ kind: slack, token: sandbox, api_url: "{sandbox}/slack/api/" }}
  email: {{ kind: email, url: "smtp://127.0.0.1:{smtp}", from: "a@b.test" }}
  accounting: {{ kind: webhook, url: "{receiver}/hooks/secret-key" }}
"""


@dataclass
class Clinic:
    """A healthy installation, to be made ill; `environ` is what the doctor is started with."""

    folder: Path
    sandbox: Sandbox
    url: str
    smtp: SmtpReceiver
    receiver: HttpReceiver
    environ: dict[str, str]

    async def doctor(self, *words: str) -> Result:
        return await taskbell(self.folder, "doctor", *words, **self.environ)

    async def wrong(self) -> dict[str, Any]:
        """What the doctor finds wrong, by its subject; exit code 1 goes with it."""
        result = await self.doctor("--json")
        found = {
            one["subject"]: one for one in result.json["findings"] if one["verdict"] == "wrong"
        }
        assert (result.code, result.json["fine"]) == ((1, False) if found else (0, True))
        assert all(one["advice"] for one in found.values())
        return found


@pytest.fixture
async def clinic(
    tmp_path: Path, database_url: str, valkey: EmbeddedValkey
) -> AsyncIterator[Clinic]:
    sandbox = Sandbox(SystemClock())
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(running(sandbox))
        smtp = await stack.enter_async_context(SmtpReceiver())
        receiver = await stack.enter_async_context(HttpReceiver())
        redis = await stack.enter_async_context(Redis.from_url(valkey.url))
        await redis.set(f"{QUEUE}:health-check", "alive", ex=60)
        text = CONFIGURATION.format(sandbox=url, smtp=smtp.port, receiver=receiver.url)
        (tmp_path / "taskbell.yaml").write_text(text)
        environ = {"DATABASE_URL": database_url, "REDIS_URL": valkey.url}
        yield Clinic(tmp_path, sandbox, url, smtp, receiver, environ)


async def test_a_healthy_installation_is_fine_and_nobody_is_told_anything(clinic: Clinic) -> None:
    """Each part has its line; no message, no mail, no request and no write goes out."""
    result = await clinic.doctor()
    assert result.code == 0
    assert "wrong" not in result.out
    for part in ("database", "redis", "worker", "account field", "channel slack", "channel email"):
        assert f"ok     {part}" in result.out
    assert clinic.receiver.connections == 1
    assert clinic.receiver.requests == []
    assert clinic.smtp.mails == []
    assert clinic.sandbox.slack.posted == {}
    assert clinic.sandbox.kickserv.record.notifications == []
    assert clinic.sandbox.kickserv.record.writes == []


async def test_a_token_that_is_refused(clinic: Clinic) -> None:
    """Said of the account it belongs to, with the way out."""
    clinic.sandbox.kickserv.faults.set(Fault(FaultKind.UNAUTHORIZED))
    (found,) = (await clinic.wrong()).items()
    assert found[0] == "account field"
    assert "refused the account's credentials (401)" in found[1]["says"]
    assert "create a new token" in found[1]["advice"]


async def test_tasks_that_cannot_be_read_are_a_note(clinic: Clinic) -> None:
    """How much could not be read, with an example; it keeps nothing from working."""
    async with await store.connect(clinic.environ["DATABASE_URL"], size=1) as pool:
        await accounts.register(pool, {"field": "kickserv"}, SystemClock().now())
        example = "ends_at of task 7 (value: 'next week')"
        await unreadable.note(
            pool, "field", rows=0, count=2, example=example, now=SystemClock().now()
        )
    result = await clinic.doctor()
    assert result.code == 0
    assert "note   tasks of field" in result.out
    assert f"2 values could not be read, for example {example}" in result.out


async def test_everybody_outside_is_away(clinic: Clinic) -> None:
    """For each system and channel that does not answer the doctor has one line in plain words."""
    nobody = f"http://127.0.0.1:{free_port()}"
    text = CONFIGURATION.format(sandbox=nobody, smtp=free_port(), receiver=nobody)
    (clinic.folder / "taskbell.yaml").write_text(text)
    found = await clinic.wrong()
    assert set(found) == {"account field", "channel slack", "channel email", "channel accounting"}
    assert all(one["says"].endswith(" does not accept connections") for one in found.values())
    assert "secret-key" not in str(found)


async def test_redis_and_the_database_are_away(clinic: Clinic) -> None:
    """If Redis and the database do not answer, the doctor reports both in one run."""
    clinic.environ |= {
        "DATABASE_URL": f"postgresql://127.0.0.1:{free_port()}/none",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}",
    }
    assert set(await clinic.wrong()) == {"database", "redis"}


async def test_no_worker_is_at_work(clinic: Clinic) -> None:
    """Redis answers, but nobody has said there lately that it is alive."""
    async with Redis.from_url(clinic.environ["REDIS_URL"]) as redis:
        await redis.delete(f"{QUEUE}:health-check")
    found = await clinic.wrong()
    assert set(found) == {"worker"}
    assert "taskbell serve" in found["worker"]["advice"]


async def test_webhooks_that_anybody_may_send_are_a_note(clinic: Clinic) -> None:
    """An account without verification works, and its risk is told."""
    file = clinic.folder / "taskbell.yaml"
    file.write_text(
        file.read_text().replace("verify: token, secret: s3cret-of-the-door", "verify: none")
    )
    result = await clinic.doctor()
    assert result.code == 0
    assert "note   account field" in result.out
    assert "webhooks are not verified" in result.out


@pytest.mark.parametrize("system", sorted(systems()))
async def test_what_is_known_of_every_system(clinic: Clinic, system: str) -> None:
    """Whether its token is taken, calls are left and clocks agree, and who may send webhooks."""
    account = {**sample(system, "account"), "system": system, "base_url": f"{clinic.url}/{system}"}
    name = account.pop("name")
    text = orjson.dumps({**LOCAL, "accounts": {name: account}}).decode()
    (clinic.folder / "taskbell.yaml").write_text(text)
    said = (await clinic.doctor()).out
    assert (
        f"{system} answers and accepts the token; it does not say how many calls are left" in said
    )
    assert "its clock and this machine's agree" in said
    assert f"no webhooks are accepted: /hooks/{name} answers 404" in said

    clinic.sandbox.systems[system].set_quirks(per_minute=10, skew=-3600)
    found = await clinic.wrong()
    assert set(found) == {f"account {name}"}
    assert (
        "this machine's clock is 60 min ahead of the clock of" in found[f"account {name}"]["says"]
    )
    assert re.search("it allows [0-9] more calls for now", (await clinic.doctor()).out)


async def test_a_clock_that_is_wrong(clinic: Clinic) -> None:
    """The system's answers carry its time: an hour apart is too much."""

    class AnHourBehind(HttpReceiver):
        def answer(self, request: Request) -> Answer:
            then = SystemClock().now() - timedelta(hours=1)
            body: list[Any] | bytes = [] if request.method == "GET" else b""
            return Answer(body=body, headers={"date": format_datetime(then, usegmt=True)})

    async with AnHourBehind() as system:
        text = CONFIGURATION.partition("channels:")[0].format(sandbox=system.url)
        (clinic.folder / "taskbell.yaml").write_text(text)
        found = await clinic.wrong()
    assert "60 min ahead of the clock of" in found["account field"]["says"]


@pytest.mark.parametrize(
    ("file", "says"),
    [(None, "there is no taskbell.yaml"), ("version: 2\n", "taskbell.yaml has errors (1)")],
)
async def test_a_configuration_that_cannot_be_used(
    clinic: Clinic, file: str | None, says: str
) -> None:
    """Missing or faulty, it is said; the rest is examined all the same."""
    path = clinic.folder / "taskbell.yaml"
    await asyncio.to_thread(path.unlink)
    if file is not None:
        path.write_text(file)
    found = await clinic.wrong()
    assert set(found) == {"configuration"}
    assert says in found["configuration"]["says"]


async def test_settings_with_faults_end_the_examination(clinic: Clinic) -> None:
    """Nothing else can be looked at; the fault is named."""
    clinic.environ["PORT"] = "eighty"
    found = await clinic.wrong()
    assert set(found) == {"settings"}
    assert "PORT" in found["settings"]["says"]


PLANNR = """\
version: 1
network: {{ allow: ["127.0.0.0/8"] }}
accounts:
  london:
    system: plannr
    base_url: "{sandbox}/plannr"
    account_uuid: {uuid}
    token: sandbox
{webhook}
"""


def use_plannr(clinic: Clinic, webhook: str = "") -> None:
    text = PLANNR.format(sandbox=clinic.url, uuid=ACCOUNT_UUID, webhook=webhook)
    (clinic.folder / "taskbell.yaml").write_text(text)


async def test_a_system_is_asked_to_push_and_its_secret_seen_by_nobody(clinic: Clinic) -> None:
    """The doctor says that it does not push yet, registers it, and finds it registered."""
    use_plannr(clinic)
    assert "it can send webhooks but does not" in (await clinic.doctor()).out
    words = ("--subscribe", "london", "--url", "https://tasks.example/", "--secret-file", "kept")
    result = await clinic.doctor(*words)
    (subscription,) = clinic.sandbox.pusher.subscriptions.values()
    assert (result.code, subscription.url) == (0, "https://tasks.example/hooks/london")
    kept = clinic.folder / "kept"
    assert kept.read_text().strip() == subscription.secret
    assert kept.stat().st_mode & 0o777 == 0o600
    assert subscription.secret not in result.out + result.err
    setting = f'{{ verify: plannr, secret: "${{file:{kept.resolve()}}}" }}'
    assert setting in result.out
    use_plannr(clinic, f"    webhook: {setting}")
    healthy = await clinic.doctor()
    assert "it sends webhooks to https://tasks.example/hooks/london" in healthy.out


async def test_asking_again_changes_nothing(clinic: Clinic) -> None:
    """A second registration of the same address keeps the secret that is in use."""
    use_plannr(clinic)
    words = ("--subscribe", "london", "--url", "https://tasks.example", "--secret-file", "kept")
    await clinic.doctor(*words)
    first = (clinic.folder / "kept").read_text()
    await clinic.doctor(*words)
    assert len(clinic.sandbox.pusher.subscriptions) == 1
    assert (clinic.folder / "kept").read_text() == first


@pytest.mark.parametrize(
    ("account", "file", "says"),
    [
        ("field", "kept", "kickserv has no webhooks to subscribe"),
        ("field", "nowhere/kept", "cannot be written to"),
        ("nobody", "kept", "there is no account nobody"),
    ],
)
async def test_what_cannot_be_registered_says_why(
    clinic: Clinic, account: str, file: str, says: str
) -> None:
    """No such account, a system without webhooks, a file that cannot be written."""
    words = ("--subscribe", account, "--url", "https://tasks.example", "--secret-file", file)
    result = await clinic.doctor(*words)
    assert result.code == 1
    assert says in result.out + result.err


async def test_the_whole_address_may_be_given(clinic: Clinic) -> None:
    """Whoever pastes the webhook's own address means the same."""
    use_plannr(clinic)
    url = "https://tasks.example/hooks/london/"
    await clinic.doctor("--subscribe", "london", "--url", url, "--secret-file", "kept")
    (subscription,) = clinic.sandbox.pusher.subscriptions.values()
    assert subscription.url == "https://tasks.example/hooks/london"


@pytest.mark.parametrize(
    ("url", "file", "says"),
    [
        ("https://tasks.example", "taskbell.yaml", "contains something other than a secret"),
        ("tasks.example", "kept", "tasks.example is not an address"),
    ],
)
async def test_a_slip_costs_nothing(clinic: Clinic, url: str, file: str, says: str) -> None:
    """The configuration is not written over, and nothing is registered."""
    use_plannr(clinic)
    before = (clinic.folder / "taskbell.yaml").read_text()
    result = await clinic.doctor("--subscribe", "london", "--url", url, "--secret-file", file)
    assert result.code == 1
    assert says in result.out + result.err
    assert (clinic.folder / "taskbell.yaml").read_text() == before
    assert not clinic.sandbox.pusher.subscriptions


async def test_half_of_the_words_is_wrong_use(clinic: Clinic) -> None:
    """Without an address and a file nothing is registered."""
    assert (await clinic.doctor("--subscribe", "field")).code == 2
