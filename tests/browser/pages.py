"""Addresses of every page, by the routes of the application."""

from collections.abc import Mapping, Sequence

import httpx
from pydantic import SecretStr
from starlette.routing import Route

from service.domain.contacts import Receivers, keys_in
from service.outbox.approvals import DeliveryLinks, LinkTo
from service.rules.contacts.unsubscribe_links import UnsubscribeLinks
from service.store import Pool
from tests.browser.visitor import Visitor
from tests.harness.full_office import HOSTILE, HOSTILE_TASK
from tests.harness.site import Site

TOKEN = "s3cret-of-the-page"

# Their addresses have numbers of this office.
APPROVAL, MESSAGE = "/approvals/{id:number}", "/messages/{id}"
ANSWER, UNSUBSCRIBE = "/answers/{id:number}", "/unsubscribe/{link}"
_THIS = str(httpx.QueryParams({"account": "london", "task": HOSTILE_TASK}))
# Of each route one address of each kind; the first one shows texts of foreign systems.
PAGES: Mapping[str, Sequence[str]] = {
    "/": ["/"],
    ANSWER: ["/answers/1?token=guessed"],
    APPROVAL: ["/approvals/1?token=guessed"],
    "/audit": ["/audit"],
    "/backtests/{id}": ["/backtests/off-today", "/backtests/job-done"],
    "/coming": ["/coming", "/coming?within=7d"],
    "/connections": ["/connections"],
    "/contacts": ["/contacts", "/contacts?show=agreed", "/contacts?show=agreed&search=nobody"],
    "/inbox": ["/inbox"],
    "/login": ["/login"],
    "/messages": ["/messages", "/messages?q=nobody"],
    "/messages/bulk/{action}": [
        "/messages/bulk/retry?state=failed",
        "/messages/bulk/dismiss?state=failed",
    ],
    MESSAGE: ["/messages/999"],
    "/previews": [
        f"/previews?{_THIS}&rule=overdue-nudge",
        f"/previews?{_THIS}&rule=off-today",
        "/previews?account=london&task=T1&rule=job-done",
    ],
    "/rule-tests": [
        f"/rule-tests?{_THIS}&rule=off-today",
        "/rule-tests?account=london&task=T1&rule=overdue-nudge",
    ],
    "/rules": ["/rules"],
    "/rules/edit": ["/rules/edit"],
    "/rules/{id:path}": ["/rules/hostile", "/rules/job-done", "/rules/none"],
    "/silences": ["/silences", "/silences?rule=job-done"],
    "/start": ["/start"],
    "/tasks": ["/tasks", "/tasks?q=nobody"],
    "/tasks/{account}/{id:path}": [
        "/tasks/london/T%2F4%3F%3Cb%3E",
        "/tasks/london/T1",
        "/tasks/london/T3",
        "/tasks/london/none",
    ],
    UNSUBSCRIBE: ["/unsubscribe/guessed"],
    "/webhooks": ["/webhooks"],
    "/webhooks/{id}": ["/webhooks/4", "/webhooks/1", "/webhooks/3"],
}
# These show nothing that comes from elsewhere.
OWN_WORDS = frozenset({"/login", "/start", UNSUBSCRIBE})
# A stranger sees them: to sign in, and by a link of their own.
PUBLIC = frozenset({"/login", ANSWER, APPROVAL, UNSUBSCRIBE})
# The files of the configuration may hold secrets.
OF_ADMINS = frozenset({"/rules/edit"})
# What is read by programs: senders of webhooks, scripts, monitors, calendars, our own script.
_OF_PROGRAMS = ("/api/", "/hooks/", "/healthz", "/readyz", "/metrics", "/live", "/coming.ics")
# The messages with a screen of their own: one of each kind, and the one with hostile texts.
_TEXTS = (
    "the failed one",
    "the sent one",
    "the unknown one",
    "the planned one",
    "to Smith",
    "the first that asks",
)


def routes_of(site: Site) -> set[str]:
    """The paths of all routes that show a page."""
    shown = [one for one in site.routes if isinstance(one, Route) and "GET" in (one.methods or ())]
    return {one.path for one in shown if not one.path.startswith(_OF_PROGRAMS)}


async def addresses(pool: Pool, left_out: frozenset[str] = frozenset()) -> list[str]:
    """All addresses, without those of some routes."""
    found = await hostile_addresses(pool, left_out)
    found += [one for path, some in PAGES.items() if path not in left_out for one in some]
    found += [] if MESSAGE in left_out else await _messages(pool)
    found += [] if UNSUBSCRIBE in left_out else [unsubscribe_link()]
    return list(dict.fromkeys(found))


async def hostile_addresses(pool: Pool, left_out: frozenset[str] = OWN_WORDS) -> list[str]:
    """One address of each route that shows texts of foreign systems."""
    found = {path: some[0] for path, some in PAGES.items()}
    found[MESSAGE] = (await _messages(pool))[-1]
    found[APPROVAL] = await approval_link(pool, "the second that asks")
    found[ANSWER] = await link(pool, LinkTo.ANSWER, HOSTILE)
    return [one for path, one in found.items() if path not in left_out]


async def approval_link(pool: Pool, text: str) -> str:
    """What was sent to whoever is to approve the message that begins like this."""
    return await link(pool, LinkTo.APPROVE, text)


async def link(pool: Pool, page: LinkTo, text: str) -> str:
    """The link to a page about the message that begins like this."""
    [row] = await pool.fetch("SELECT id, key FROM deliveries WHERE starts_with(text, $1)", text)
    return DeliveryLinks("", SecretStr(TOKEN)).to(page, row["id"], str(row["key"]))


def unsubscribe_link() -> str:
    """What stands in a mail to a customer."""
    links = UnsubscribeLinks("https://tasks.test", SecretStr(TOKEN))
    link = links.to(Receivers((keys_in("ida@c.test"),)), "ida@c.test") or ""
    return link.removeprefix("https://tasks.test")


async def _messages(pool: Pool) -> list[str]:
    """The screens of messages; the last is the one with hostile texts."""
    rows = await pool.fetch(
        "SELECT max(id) AS id FROM deliveries WHERE text = ANY ($1) OR channel = 'email'"
        " GROUP BY text, channel ORDER BY channel = 'email', id",
        _TEXTS,
    )
    return [f"/messages/{row['id']}" for row in rows]


async def try_a_rule(visitor: Visitor) -> None:
    """Have the backtest worked out whose page shows foreign texts."""
    await visitor.open("/rules/off-today")
    await visitor.press(visitor.page.get_by_role("button", name="Try on the last 30 days"))
    await visitor.sees("It would have acted")
