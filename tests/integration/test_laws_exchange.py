"""Laws 8, 9 and 13 at every step of an exchange, for every kind of receiver, as one table.

Customers are told once or not at all, and not at all has its reason. Receivers that recognise a
repetition see each message once, and nothing is lost. What breaks is a real line between real
servers; processes that are killed at these steps are in `tests/e2e/test_killed_while_sending.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor, firm
from tests.harness.line import REACHES, Cut, HttpLine, MailLine
from tests.harness.receivers import Answer, Request
from tests.harness.running import free_port
from tests.harness.smtp_receiver import SmtpReceiver
from tests.harness.waiting import eventually

PATIENT, HURRIED = "30s", "3s"
IDA = {"id": 7, "name": "Ida", "phone": "+1 415 555 0123"}
TAKEN = Answer(201, {"sid": "SM1", "status": "queued"})
VONAGE = Answer(200, {"value": 1, "messages": [{"status": "0", "message-id": "0C01"}]})
POSTED = Answer(200, {"ok": True, "result": {"message_id": 4, "chat": {"id": -1001}}})
MORE = """\
chat: {{ kind: telegram, token: "1:A", api_url: "{url}", timeout: {timeout} }}
  texts: {{ kind: vonage, api_key: abcd1234, secret: hidden, from: ACME, api_url: "{url}",
           timeout: {timeout} }}"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of receiver: what a rule does, and how it is seen from the other end.

    - `lane` of its messages, and the `word` in the request that is the message
    - `arrivals`: what arrived, as the receiver tells messages apart
    - `is_guarded`: for a customer, and never sent again by itself
    - `is_settled_by_head`: the status says that it has the message, whatever follows
    """

    step: str
    lane: str
    word: str
    arrivals: Callable[[Corridor], list[str]]
    answer: Answer = POSTED
    is_guarded: bool = False
    is_settled_by_head: bool = False


def _webhook_ids(taskbell: Corridor) -> list[str]:
    return [one.headers["webhook-id"] for one in _posted(taskbell)]


def _texted(taskbell: Corridor) -> list[str]:
    return [parse_qs(one.body.decode())["To"][0] for one in _posted(taskbell)]


def _vonage(taskbell: Corridor) -> list[str]:
    return [parse_qs(one.body.decode())["to"][0] for one in _posted(taskbell)]


def _chatted(taskbell: Corridor) -> list[str]:
    return [one.json["text"] for one in _posted(taskbell) if one.body]


def _posted(taskbell: Corridor) -> list[Request]:
    return [one for one in taskbell.accounting.requests if one.method == "POST"]


KINDS = {
    "customer": Kind(
        "customer:details", "account:field", "/notify", lambda one: one.told, is_guarded=True
    ),
    "webhook": Kind("accounting", "accounting", "/hook", _webhook_ids, is_settled_by_head=True),
    "slack": Kind(
        '"slack:#office", text: New', "slack", "/chat.postMessage", lambda one: one.posts
    ),
    "sms": Kind(
        '"sms:{{ task.customer.phone }}", text: New',
        *("sms", "/Messages.json", _texted, TAKEN),
        is_guarded=True,
    ),
    "vonage": Kind(
        '"texts:{{ task.customer.phone }}", text: New',
        *("texts", "/sms/json", _vonage, VONAGE),
        is_guarded=True,
    ),
    "telegram": Kind('"chat:-1001", text: New', "chat", "/sendMessage", _chatted),
}
BREAKS = [Cut.BEFORE_A_BYTE, Cut.IN_REQUEST, Cut.AFTER_REQUEST, Cut.IN_HEAD, Cut.IN_BODY]
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@dataclass(frozen=True, slots=True)
class Lines:
    """A firm whose every call goes over one of these lines."""

    taskbell: Corridor
    system: HttpLine
    slack: HttpLine
    accounting: HttpLine

    def of(self, kind: Kind) -> HttpLine:
        return {"account:field": self.system, "slack": self.slack}.get(kind.lane, self.accounting)

    async def configure(self, rules: str, within: str, **urls: str) -> None:
        """Begin anew with other time-outs, or with other addresses for these receivers."""
        head = self.taskbell.head
        head["slack"] = urls.get("slack", self.slack.url)
        head["accounting"] = urls.get("accounting", self.accounting.url)
        head["accounts"] = firm(urls.get("system", self.system.url), within).rstrip()
        head["slack_options"] = f", timeout: {within}"
        head["accounting_options"] = f"timeout: {within}"
        head["more_channels"] = MORE.format(url=head["accounting"], timeout=within)
        await self.taskbell.restart(rules)


def rules(kind: Kind) -> str:
    then = f"then: [{{ notify: {kind.step} }}]"
    return f"- {{ id: tell, when: task.created, accounts: [field], {then} }}"


@asynccontextmanager
async def lines(
    folder: Path, pool: Pool, clock: VirtualClock, kind: Kind, within: str = PATIENT
) -> AsyncIterator[Lines]:
    ports: list[int] = []

    def accounts(url: str) -> str:
        ports.append(int(url.rpartition(":")[2]))
        return firm(url)

    async with AsyncExitStack() as stack:
        taskbell = await stack.enter_async_context(corridor(folder, pool, clock, "", accounts))
        taskbell.accounting.reply(*[kind.answer] * 20)
        to = (ports[0], taskbell.slack.port, taskbell.accounting.port)
        made = Lines(taskbell, *[await stack.enter_async_context(HttpLine(one)) for one in to])
        await made.configure(rules(kind), within)
        await taskbell.begin()
        yield made


async def pass_days(taskbell: Corridor) -> None:
    """Everything that would happen by itself in the next days happens."""
    for _ in range(8):
        await taskbell.lose_workers(hours=12)
        await taskbell.tick()
        await taskbell.deliver()


async def send(taskbell: Corridor) -> None:
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver()


async def demand_law(taskbell: Corridor, kind: Kind, cut: Cut | None) -> None:
    """What holds in the end, after the line broke here; None: before there was a connection."""
    [delivery] = await taskbell.deliveries()
    arrived = kind.arrivals(taskbell)
    if cut is None or (cut is Cut.IN_BODY and kind.is_settled_by_head):
        assert (delivery["state"], len(arrived)) == ("sent", 1)
    elif kind.is_guarded:
        assert (delivery["state"], delivery["attempts"]) == ("unknown", 1)
        assert "Check whether it arrived" in delivery["reason"]
        assert len(arrived) == int(cut in REACHES)
    else:
        assert (delivery["state"], delivery["attempts"]) == ("sent", 2)
        # Slack is asked for what it has; of the others, some see the same key a second time.
        is_repeated = cut in REACHES and kind.lane != "slack"
        assert len(arrived) == 1 + int(is_repeated)
        assert len(set(arrived)) == 1


@each_kind
@pytest.mark.parametrize("cut", BREAKS)
async def test_law_8_whatever_breaks_in_the_exchange(
    kind: Kind, cut: Cut, folder: Path, pool: Pool, clock: VirtualClock
) -> None:
    """From the first byte of the request on, a customer's message may have gone out."""
    async with lines(folder, pool, clock, kind) as whole:
        whole.of(kind).cut(cut, kind.word)
        await send(whole.taskbell)
        await pass_days(whole.taskbell)
        await demand_law(whole.taskbell, kind, cut)


@each_kind
async def test_law_8_whoever_does_not_answer(
    kind: Kind, folder: Path, pool: Pool, clock: VirtualClock
) -> None:
    """The receiver has acted, and says nothing for longer than Taskbell waits."""
    async with lines(folder, pool, clock, kind, HURRIED) as whole:
        whole.of(kind).cut(Cut.SILENCE, kind.word)
        await send(whole.taskbell)
        await pass_days(whole.taskbell)
        await demand_law(whole.taskbell, kind, Cut.SILENCE)


def unreachable(how: str, line: HttpLine) -> str:
    """An address to which no connection comes about."""
    return {
        "refused": f"http://127.0.0.1:{free_port()}",
        "no such host": "http://nobody.invalid",
        "no encryption": f"https://127.0.0.1:{line.port}",
    }[how]


@each_kind
@pytest.mark.parametrize("how", ["refused", "no such host", "no encryption"])
async def test_law_8_before_there_is_a_connection_nothing_was_sent(
    kind: Kind, how: str, folder: Path, pool: Pool, clock: VirtualClock
) -> None:
    """Nothing was sent, which is said; it goes out once as soon as the address is right."""
    async with lines(folder, pool, clock, kind) as whole:
        taskbell = whole.taskbell
        place = {"account:field": "system", "slack": "slack"}.get(kind.lane, "accounting")
        await whole.configure(rules(kind), PATIENT, **{place: unreachable(how, whole.of(kind))})
        await send(taskbell)
        [delivery] = await taskbell.deliveries()
        assert delivery["state"] in {"planned", "held"}
        assert delivery["reason"]
        assert kind.arrivals(taskbell) == []
        await whole.configure(rules(kind), PATIENT)
        await taskbell.tick(minutes=2)
        await taskbell.poll(full=True)
        await taskbell.deliver()
        await pass_days(taskbell)
        await demand_law(taskbell, kind, None)


@each_kind
async def test_law_8_a_commit_that_fails_after_the_answer(
    kind: Kind, folder: Path, pool: Pool, clock: VirtualClock
) -> None:
    """The answer is there, and the connection to the database breaks in the commit: sent once."""
    async with lines(folder, pool, clock, kind) as whole:
        taskbell, line = whole.taskbell, whole.of(kind)
        line.cut(Cut.HELD, kind.word)
        sending = asyncio.create_task(send(taskbell))
        await line.held.wait()
        async with pool.acquire() as other, other.transaction():
            await other.execute("SELECT FROM deliveries FOR UPDATE")
            line.let_go.set()
            await eventually(lambda: _blocked(pool))
            await other.execute(f"SELECT pg_terminate_backend(pid) FROM ({BLOCKED}) AS one")
        await sending
        await pass_days(taskbell)
        await demand_law(taskbell, kind, None)


BLOCKED = "SELECT pid FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"


async def _blocked(pool: Pool) -> bool:
    return await pool.fetchval(BLOCKED) is not None


@pytest.mark.parametrize(
    ("step", "mails"),
    [
        *[(step, 1) for step in ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "BODY")],
        ("DOT", 2),
    ],
)
async def test_law_9_a_mail_keeps_its_id_wherever_the_line_breaks(
    step: str, mails: int, folder: Path, pool: Pool, clock: VirtualClock
) -> None:
    """It is there again only if the server had taken it, and mail programs show it once."""
    rules_ = '- { id: tell, when: task.created, then: [{ notify: "mail:bo@x.test", text: New }] }'
    async with (
        SmtpReceiver() as smtp,
        MailLine(smtp.port) as line,
        corridor(folder, pool, clock, rules_) as taskbell,
    ):
        taskbell.head["smtp"] = str(line.port)
        await taskbell.restart(rules_)
        await taskbell.begin()
        line.cut(step)
        await send(taskbell)
        assert await taskbell.states() == ["planned"]
        await pass_days(taskbell)
        [delivery] = await taskbell.deliveries()
        assert (delivery["state"], delivery["attempts"]) == ("sent", 2)
        assert len(smtp.mails) == mails
        assert {one.message["Message-ID"] for one in smtp.mails} == {
            f"<{delivery['key']}@firm.test>"
        }
