"""How customers come onto the list: by a link, on the page, and through the API."""

from collections.abc import AsyncIterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from service.channels.email import EmailChannel, EmailOptions
from service.clock import VirtualClock
from service.domain.contacts import Receivers, keys_of
from service.domain.model import Customer
from service.outbox.approvals import DeliveryLinks
from service.processes.embedded import EmbeddedValkey
from service.rules.contacts.unsubscribe_links import UnsubscribeLinks
from service.store import Pool
from service.store.operators import contact_choices
from tests.harness.commands import taskbell as command
from tests.harness.corridor import Corridor, begun
from tests.harness.site import Site, serving
from tests.harness.smtp_receiver import SmtpReceiver

TOKEN = "a-token-of-24-characters"
IDA = {"id": 7, "name": "Ida", "email": "ida@c.test", "phone": "+1 212 555 0123"}
HTML = {"accept": "text/html"}
RULES = """
- { id: new, when: task.created, accounts: [field], then: [
    { notify: "accounting:{{ task.customer.email }}",
      text: "Hello\\nStop: {{ unsubscribe_url }}" }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, RULES) as running:
        links = DeliveryLinks("https://tasks.test", SecretStr(TOKEN))
        for lane in running.worker.lanes.values():
            lane._links = links
        yield running


@pytest.fixture
async def web(taskbell: Corridor, valkey: EmbeddedValkey) -> AsyncIterator[Site]:
    parts = (taskbell.config, taskbell.pool, taskbell.clock, valkey.url, TOKEN)
    async with serving(*parts) as served:
        yield served


async def sent_link(taskbell: Corridor, **fields: Any) -> str:
    """The path of the link in the message about a new visit."""
    await taskbell.webhook(taskbell.visit(**{"customer": IDA} | fields))
    await taskbell.deliver()
    text: str = taskbell.accounting.requests[-1].json["data"]["text"]
    return text.partition("Stop: ")[2].removeprefix("https://tasks.test")


async def listed(taskbell: Corridor) -> list[tuple[str, str]]:
    rows = await contact_choices.listed(taskbell.pool, wants=False)
    return sorted((row["kind"], row["value"]) for row in rows)


BOTH = [("customer", "7"), ("email", "ida@c.test")]


async def test_a_link_ends_all_messages_once_somebody_confirms(
    taskbell: Corridor, web: Site
) -> None:
    """The page that it opens asks; a program that only opens it changes nothing."""
    path = await sent_link(taskbell)
    for _ in range(2):
        asked = await web.client.get(path, headers=HTML)
        assert (asked.status_code, await listed(taskbell)) == (200, [])
    await web.client.request("HEAD", path)
    assert "nothing will be sent to <bdi>ida@c.test</bdi> any more" in asked.text
    done = await web.client.post(path, headers=HTML)
    assert "You get no more messages" in done.text
    assert await listed(taskbell) == BOTH
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver()
    assert await taskbell.states() == ["sent", "skipped"]


async def test_a_mail_program_does_it_with_one_click(taskbell: Corridor, web: Site) -> None:
    """Its POST has neither a session nor a form of ours (RFC 8058)."""
    path = await sent_link(taskbell)
    done = await web.client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert (done.status_code, await listed(taskbell)) == (200, BOTH)
    [change, _] = await taskbell.pool.fetch("SELECT * FROM changes ORDER BY id")
    assert (change["by"], change["action"], change["from_address"], change["detail"]) == (
        "the customer, by the link in a message",
        "contact.refused",
        "127.0.0.1",
        "by link",
    )


async def test_it_holds_at_once_if_the_clock_was_ahead(
    taskbell: Corridor, web: Site, clock: VirtualClock
) -> None:
    """Whoever has said no gets nothing from then on; the last choice counts, whatever its time."""
    path = await sent_link(taskbell)
    clock.advance(timedelta(days=2))
    await web.client.post(path)
    clock.advance(timedelta(days=-2))
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver()
    assert await taskbell.states() == ["sent", "skipped"]
    web.client.headers["authorization"] = f"Bearer {TOKEN}"
    for who in ({"customer": "7", "account": "field"}, {"address": "ida@c.test"}):
        await web.client.post("/api/v1/contacts/opt-in", json=who)
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await taskbell.deliver()
    assert await taskbell.states() == ["sent", "skipped", "sent"]


def plain(mail: EmailMessage) -> str:
    """The text of a mail for programs that show no HTML."""
    body = mail.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text


async def test_a_mail_to_a_customer_has_the_button(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """That of the mail program: the header is one link, however long, and only for customers."""
    rules = """
- { id: new, when: task.created, accounts: [field],
    then: [{ notify: "mail:{{ task.customer.email }}", text: "Hello {{ unsubscribe_url }}." },
           { notify: "mail:us@x.test", text: "Hello {{ unsubscribe_url }}." }] }
"""
    async with begun(folder, pool, clock, rules) as taskbell, SmtpReceiver() as receiver:
        shape = {"name": "mail", "kind": "email", "from": "office@firm.test"}
        options = EmailOptions(**shape, url=f"smtp://127.0.0.1:{receiver.port}")
        channel = EmailChannel(options, taskbell.client, clock)
        taskbell.worker.lanes["mail"]._channels = {"mail": channel}
        await taskbell.webhook(taskbell.visit(customer={**IDA, "id": "7" * 200}))
        await taskbell.deliver("mail")
        await channel.close()
        mails = {one.recipients[0]: one.message for one in receiver.mails}
    link = mails["ida@c.test"]["List-Unsubscribe"]
    assert link.startswith("<https://tasks.test/unsubscribe/")
    assert "".join(plain(mails["ida@c.test"]).split()) == f"Hello{link[1:-1]}."
    assert mails["ida@c.test"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "List-Unsubscribe" not in mails["us@x.test"]
    assert plain(mails["us@x.test"]).strip() == "Hello ."


async def test_a_link_can_be_used_again(taskbell: Corridor, web: Site) -> None:
    """It says the same, and nothing is recorded twice; later it ends messages once more."""
    path = await sent_link(taskbell)
    for _ in range(3):
        assert "You get no more messages" in (await web.client.post(path, headers=HTML)).text
    assert await taskbell.pool.fetchval("SELECT count(*) FROM changes") == 2


async def test_a_forged_link_does_nothing(taskbell: Corridor, web: Site) -> None:
    """For another customer's link, a changed one or half of one, the page says what to do."""
    path = await sent_link(taskbell)
    customer = keys_of(Customer("8", "Bo", "bo@c.test"), "field")
    other = UnsubscribeLinks("", SecretStr("another-token-of-24-chars"))
    link = other.to(Receivers((customer,)), "bo@c.test") or "/unsubscribe/bo"
    content, _, signature = path.rpartition("/")[2].partition(".")
    bad = [link, path[:-1], f"/unsubscribe/{content}", f"/unsubscribe/{content}x.{signature}"]
    for one in [*bad, "/unsubscribe/%00", "/unsubscribe/ä.ö", f"/unsubscribe/{'x' * 3000}.y"]:
        for method in ("GET", "POST"):
            refused = await web.client.request(method, one, headers=HTML)
            assert refused.status_code == 404
            assert "Answer the message instead" in refused.text
    assert await listed(taskbell) == []


async def test_another_site_cannot_press_the_button(taskbell: Corridor, web: Site) -> None:
    """A browser says where a form came from."""
    path = await sent_link(taskbell)
    foreign = await web.client.post(path, headers={"origin": "https://evil.test"})
    assert (foreign.status_code, await listed(taskbell)) == (403, [])


def test_a_message_to_several_has_no_link() -> None:
    """One of them must not end the messages of another; and colleagues need none."""
    links = UnsubscribeLinks("https://tasks.test", SecretStr(TOKEN))
    ida, bo = (keys_of(Customer(None, None, one), "field") for one in ("i@c.test", "b@c.test"))
    assert links.to(Receivers((ida, bo)), "i@c.test, b@c.test") is None
    assert links.to(Receivers((), ida), "i@c.test") is None
    assert UnsubscribeLinks("", SecretStr(TOKEN)).to(Receivers((ida,)), "i@c.test") is None


async def test_the_office_enters_what_a_customer_said(taskbell: Corridor, web: Site) -> None:
    """They are found by a part of the address; and want messages again one day."""
    await web.client.post("/login", data={"token": TOKEN})
    form = {"address": "+44 (0)7700 900123", "wants": "no", "note": "called on <Monday>"}
    await web.client.post("/contacts", data=form)
    page = await web.client.get("/contacts", params={"search": "900123"})
    assert "447700900123" in page.text
    assert "called on &lt;Monday&gt;" in page.text
    assert "Nothing was found" in (await web.client.get("/contacts?search=nobody")).text
    [row] = await contact_choices.listed(taskbell.pool, wants=False)
    await web.client.post(f"/contacts/{row['id']}/opt-in")
    assert await listed(taskbell) == []
    assert "447700900123" in (await web.client.get("/contacts?show=agreed")).text


@pytest.mark.parametrize("way", ["link", "one click", "page", "api", "command"])
async def test_what_is_planned_already_is_not_sent(
    taskbell: Corridor, web: Site, way: str, tmp_path: Path, database_url: str
) -> None:
    """In whatever way the customer's choice comes in: it holds for what waits to be sent."""
    path = await sent_link(taskbell)
    await taskbell.webhook(taskbell.visit(customer=IDA))
    await web.client.post("/login", data={"token": TOKEN})
    said = {"address": "IDA@c.test"}
    match way:
        case "link":
            await web.client.post(path, headers=HTML)
        case "one click":
            await web.client.post(path, data={"List-Unsubscribe": "One-Click"})
        case "page":
            await web.client.post("/contacts", data={**said, "wants": "no"})
        case "api":
            login = {"authorization": f"Bearer {TOKEN}"}
            await web.client.post("/api/v1/contacts/opt-out", json=said, headers=login)
        case _:
            words = ("contacts", "opt-out", *said.values())
            await command(tmp_path, *words, DATABASE_URL=database_url)
    await taskbell.deliver()
    assert await taskbell.states() == ["sent", "skipped"]
    assert len(taskbell.accounting.requests) == 1


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ({}, "Name either an address, or a customer&#39;s id together with the account"),
        ({"address": "Ida"}, "Ida is not one mail address or phone number"),
        ({"address": "555 0123"}, "555 0123 is short: write the number with its area code"),
        ({"customer": "7", "account": "filed"}, "There is no account filed"),
    ],
)
async def test_what_is_wrong_with_the_form(
    web: Site, taskbell: Corridor, form: dict[str, str], fault: str
) -> None:
    """Nothing is saved, and what was typed in is still there."""
    await web.client.post("/login", data={"token": TOKEN})
    shown = await web.client.post("/contacts", data=form)
    assert (shown.status_code, await listed(taskbell)) == (400, [])
    assert fault in shown.text


@pytest.mark.parametrize("search", ["Straße.de", "STRASSE", "info@xn--strae-oqa.de", "INFO@straße"])
async def test_an_address_is_found_in_any_notation(
    web: Site, taskbell: Corridor, search: str
) -> None:
    """The list has it in one; who searches for it knows another one."""
    await web.client.post("/login", data={"token": TOKEN})
    await web.client.post("/contacts", data={"address": "info@Straße.de", "wants": "no"})
    rows = await contact_choices.listed(taskbell.pool, wants=False, containing=search)
    assert [row["value"] for row in rows] == ["info@strasse.de"]


async def test_other_programs_enter_it_by_the_api(web: Site) -> None:
    """By address or by id; the answer is the entry, as the list has it."""
    web.client.headers["authorization"] = f"Bearer {TOKEN}"
    said = {"customer": "7", "account": "field", "note": "by letter"}
    made = await web.client.post("/api/v1/contacts/opt-out", json=said)
    entry = made.json()
    assert (made.status_code, entry["state"], entry["made_through"]) == (200, "opted_out", "api")
    assert (await web.client.get("/api/v1/contacts")).json()["data"] == [entry]
    assert (await web.client.get(f"/api/v1/contacts/{entry['id']}")).json() == entry
    back = await web.client.post("/api/v1/contacts/opt-in", json=said)
    assert back.json()["state"] == "opted_in"
    assert (await web.client.get("/api/v1/contacts?state=opted_out")).json()["data"] == []


@pytest.mark.parametrize(
    ("said", "status", "why"),
    [
        ({}, 400, "Send either address, or customer and account"),
        (
            {"address": "ida@c.test", "account": "field"},
            400,
            "Send either address, or customer and account",
        ),
        ({"adress": "ida@c.test"}, 400, "Send either address, or customer and account"),
        ({"address": " "}, 400, "The parameter address: expected"),
        ({"address": "Ida"}, 409, "Ida is not one mail address or phone number"),
        ({"address": 7}, 400, "The parameter address: expected"),
        ({"customer": "7", "account": "filed"}, 409, "there is no account filed"),
    ],
)
async def test_what_is_wrong_with_a_request(
    taskbell: Corridor, web: Site, said: dict[str, Any], status: int, why: str
) -> None:
    """The answer says what, and nothing is stored."""
    web.client.headers["authorization"] = f"Bearer {TOKEN}"
    refused = await web.client.post("/api/v1/contacts/opt-out", json=said)
    assert (refused.status_code, await listed(taskbell)) == (status, [])
    assert why in refused.json()["detail"]
