"""Every action in a real browser: at a desk by keyboard alone, on a phone by tapping."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from service.store import Pool
from tests.browser.pages import TOKEN, approval_link
from tests.browser.visitor import LOOKS, Look, Visitor, visiting
from tests.harness.people import PASSWORDS
from tests.harness.site import Site


@pytest.fixture(params=LOOKS, ids=str)
async def anna(
    browser: Browser, office: Site, request: pytest.FixtureRequest
) -> AsyncIterator[Visitor]:
    """An operator at her desk, and on her way."""
    async with visiting(browser, office, request.param) as visitor:
        yield visitor


async def _is(visitor: Visitor, text: str, state: str) -> None:
    """The card with this text has come to this state."""
    await expect(visitor.card(text).first.locator(".state")).to_have_text(state)


async def test_what_needs_a_person_is_decided_on_today(anna: Visitor) -> None:
    """Each button changes what the card says, and the count of what needs attention."""
    await anna.open("/")
    await anna.sees("11 items need attention")
    for text, button, state in (
        ("the failed one", "Send again", "waiting"),
        ("the unknown one", "It arrived", "sent"),
        ("the first that asks", "Approve", "waiting"),
        ("the second that asks", "Decline", "cancelled"),
        ("the planned one", "Do not send", "cancelled"),
    ):
        await anna.decide(text, button)
        await _is(anna, text, state)
    await anna.sees("7 items need attention")
    await anna.check()


async def test_what_did_not_arrive_can_be_dismissed(anna: Visitor) -> None:
    """It is a failure then, and asks nobody any more."""
    await anna.open("/")
    await anna.decide("the unknown one", "It did not arrive")
    await _is(anna, "the unknown one", "failed")
    await anna.decide("the unknown one", "Dismiss")
    await expect(anna.card("the unknown one")).to_contain_text("dismissed by anna")


async def test_a_customer_is_written_to_after_a_question(anna: Visitor) -> None:
    """The button is in what is unfolded first; the message waits for the end of the hold."""
    await anna.open("/messages?state=failed")
    await anna.press(anna.card("to Smith").get_by_role("link", name="customer: on the way"))
    await anna.unfold(anna.page.get_by_text("Send again…"))
    await anna.sees("It cannot be taken back")
    await anna.press(anna.page.get_by_role("button", name="Yes, send it to the customer"))
    await _is(anna, "to Smith", "waiting")
    await anna.sees('"Do not send" stops it.')
    await anna.check()
    await anna.press(anna.page.get_by_role("button", name="Do not send"))
    await _is(anna, "to Smith", "cancelled")


async def test_a_message_is_dismissed_with_a_reason(anna: Visitor, pool: Pool) -> None:
    """The reason stands on its screen, with who gave it."""
    number = await pool.fetchval("SELECT id FROM deliveries WHERE text = 'the failed one'")
    await anna.open(f"/messages/{number}")
    await anna.write("Reason (optional)", "told by phone")
    await anna.press(anna.page.get_by_role("button", name="Dismiss"))
    await anna.sees("told by phone")


async def test_a_message_is_sent_again_in_an_hour(anna: Visitor, pool: Pool) -> None:
    """Its screen offers it once, and lists the one that comes then."""
    number = await pool.fetchval("SELECT id FROM deliveries WHERE text = 'the sent one'")
    await anna.open(f"/messages/{number}")
    await anna.press(anna.page.get_by_role("button", name="Snooze for 1 hour"))
    await expect(anna.page.get_by_role("button", name="Snooze for 1 hour")).to_have_count(0)
    await anna.sees("Also because of this")
    await anna.check()


async def test_a_task_is_completed_after_a_question(anna: Visitor) -> None:
    """The button is in what is unfolded first; then the screen says that it is under way."""
    await anna.open("/tasks/london/T1")
    await anna.unfold(anna.page.get_by_text("Complete the task…"))
    await anna.sees("This completes it in Plannr.")
    await anna.check()
    await anna.press(anna.page.get_by_role("button", name="Yes, complete it"))
    await anna.sees("It is being completed in Plannr.")
    await anna.check()


async def test_what_was_found_out_is_noted_with_the_answer(anna: Visitor) -> None:
    """Of a message that may have arrived; both buttons take the reason."""
    await anna.open("/")
    unknown = anna.card("the unknown one")
    await unknown.get_by_label("Reason (optional)").fill("she called")
    await anna.press(unknown.get_by_role("button", name="It arrived"))
    await expect(unknown.first).to_contain_text("anna found that it arrived: she called")


@pytest.mark.parametrize(
    ("button", "state"), [("Yes, send them", "waiting"), ("Never send them", "")]
)
async def test_a_storm_is_ended(anna: Visitor, button: str, state: str) -> None:
    """What it held is sent, after a question, or never is."""
    await anna.open("/")
    if state:
        await anna.unfold(anna.page.get_by_text("Send them…"))
        await anna.check()
    await anna.decide("500 messages within 10 minutes", button)
    await expect(anna.card("500 messages within 10 minutes")).to_have_count(0)
    await _is(anna, "one of many", state or "cancelled")


async def test_a_webhook_is_tried_again_or_ignored(anna: Visitor) -> None:
    """The log still lists both, with their results."""
    await anna.open("/webhooks")
    await anna.decide("Webhook 3", "Try again")
    await _is(anna, "Webhook 3", "waiting")
    await anna.decide("Webhook 4", "Ignore")
    await _is(anna, "Webhook 4", "ignored")


async def test_a_silence_is_shown_saved_and_ended(anna: Visitor) -> None:
    """The form first shows what it hides; then the silence is on until someone ends it."""
    await anna.open("/silences")
    await anna.write("Rule", "job-done")
    await anna.choose("How long", "for 1 hour")
    await anna.write("Reason", "moving house")
    await anna.press(anna.page.get_by_role("button", name="Show what it hides"))
    await anna.sees("This hides")
    await anna.check()
    await anna.press(anna.page.get_by_role("button", name="Silence", exact=True))
    await _is(anna, "moving house", "on")
    await anna.decide("moving house", "End it now")
    await _is(anna, "moving house", "ended")


async def test_customer_messages_are_released_and_held(anna: Visitor) -> None:
    """The hold that is on is released; then all of them are held anew, on the same page."""
    await anna.open("/")
    await anna.unfold(anna.page.get_by_text("Release them now…"))
    await anna.decide("All customer messages", "Yes, release them")
    await anna.unfold(anna.page.get_by_text("Hold all customer messages…"))
    await anna.write("Reason", "ice on the roads")
    await anna.press(anna.page.get_by_role("button", name="Hold all customer messages"))
    await expect(anna.card("All customer messages")).to_contain_text("ice on the roads")


async def test_a_rule_is_switched(anna: Visitor) -> None:
    """Off, on trial, and back to the file; each says by whom."""
    await anna.open("/rules/job-done")
    for button, state in (("Switch off", "off"), ("Switch to trial", "on trial")):
        await anna.decide("job-done", button)
        await _is(anna, "job-done", state)
        await expect(anna.card("job-done")).to_contain_text("by anna")
    await anna.check()
    await anna.decide("job-done", "Follow the file again")
    await _is(anna, "job-done", "on")


async def test_a_rule_is_tried_on_the_last_days(anna: Visitor) -> None:
    """The page brings itself up to date until the result is there."""
    await anna.open("/rules/overdue-nudge")
    await anna.press(anna.page.get_by_role("button", name="Try on the last 30 days"))
    await anna.sees("It would have acted")
    await anna.check()
    await anna.press(anna.page.get_by_role("link", name="See the rule"))
    await anna.unfold(anna.page.get_by_text("As it is written in the file"))
    await anna.sees("task.overdue: 2h")


async def test_a_rule_test_is_made_of_a_task(anna: Visitor) -> None:
    """The task's page leads to the test of each rule, which can be copied or downloaded."""
    await anna.open("/tasks/london/T1")
    rule = anna.page.locator("#rules details", has_text="overdue-nudge").first
    await anna.unfold(rule.locator("summary"))
    await anna.press(rule.get_by_role("link", name="Make a rule test from this"))
    await expect(anna.page.locator("pre")).to_contain_text("rules:")
    await anna.check()
    async with anna.page.expect_download() as download:
        await anna.page.get_by_role("link", name="Download overdue-nudge-test.yaml").click()
    assert (await download.value).suggested_filename == "overdue-nudge-test.yaml"


async def test_an_account_is_paused_resumed_and_read(anna: Visitor) -> None:
    """Its card says so at once."""
    await anna.open("/connections")
    await anna.press(anna.page.locator("#account-london").get_by_role("button", name="Pause"))
    london = anna.page.locator("#account-london")
    await expect(london.locator(".state")).to_have_text("paused")
    await anna.press(london.get_by_role("button", name="Resume"))
    await expect(london.locator(".state")).not_to_have_text("paused")
    await anna.press(london.get_by_role("button", name="Read again now"))
    await expect(london).to_contain_text("as soon as possible")


async def test_a_channel_is_tested(anna: Visitor) -> None:
    """What came of it has a page of its own."""
    await anna.open("/connections")
    await anna.press(
        anna.page.locator("#channel-accounting").get_by_role("button", name="Send a test")
    )
    await anna.sees("The test message was not sent.")
    await anna.check()
    await anna.press(anna.page.get_by_role("link", name="Back to Connections"))


async def test_an_approver_decides_by_the_link(anna: Visitor, pool: Pool) -> None:
    """The page of the link says what was decided."""
    await anna.open(await approval_link(pool, "the first that asks"))
    await anna.press(anna.page.get_by_role("button", name="Approve"))
    await anna.sees("Approved by")
    await anna.check()


async def test_what_is_looked_for_is_found(anna: Visitor) -> None:
    """Tasks, messages and history are searched by their forms."""
    for path, field, words, button, found in (
        ("/tasks", "Title, customer, person or task number", "mow", "Search", "Mow"),
        ("/messages", "Task or customer", "gutters", "Search", "the failed one"),
    ):
        await anna.open(path)
        await anna.write(field, words)
        await anna.press(anna.page.get_by_role("button", name=button))
        await expect(anna.card(found).first).to_be_visible()
    await anna.open("/audit")
    await anna.choose("Person", "anna")
    await anna.press(anna.page.get_by_role("button", name="Show"))
    await anna.sees("paused")


@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_signing_in_and_out(browser: Browser, office: Site, look: Look) -> None:
    """By name and password, after a wrong one, and by the admin token."""
    async with visiting(browser, office, look, None) as visitor:
        await visitor.open("/")
        for password in ("guessed", PASSWORDS["anna"]):
            await visitor.write("Name", "anna")
            await visitor.write("Password", password)
            await visitor.press(visitor.page.get_by_role("button", name="Sign in"))
        await visitor.sees("items need attention")
        await visitor.press(visitor.page.get_by_role("button", name="Sign out"))
        await visitor.unfold(visitor.page.get_by_text("Use the admin token"))
        await visitor.write("Admin token", TOKEN)
        await visitor.press(visitor.page.get_by_role("button", name="Sign in").last)
        await visitor.sees("items need attention")


async def test_the_navigation_leads_everywhere(anna: Visitor) -> None:
    """Section by section, with one link each."""
    await anna.open("/")
    for words in ("Coming up", "Messages", "Tasks", "Rules", "Silences", "Connections", "Today"):
        await anna.press(anna.page.get_by_role("navigation").first.get_by_text(words))
        await expect(anna.page.locator("nav [aria-current=page]")).to_have_text(words)
