"""Slack: what is posted where, what its errors mean, and how a lost answer is cleared up."""

import gzip
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from service.channels import Channel, Message
from service.channels.slack import SlackOptions
from service.channels.text_fitting import utf16_units
from service.clock import VirtualClock
from service.errors import SendError
from service.http.client import open_client
from tests.contract.channel_rigs import SlackRig, configured, opened
from tests.harness.receivers import LOOPBACK, Answer, Fault, HttpReceiver
from tests.harness.slack_receiver import SlackReceiver

MESSAGE = SlackRig.message
MIB = 1024 * 1024
DIRECT = replace(MESSAGE, target="@bo@x.test")


@pytest.fixture
def rig() -> SlackRig:
    return SlackRig()


@pytest.fixture
def slack(rig: SlackRig) -> SlackReceiver:
    return rig.receiver


@pytest.fixture
async def channel(rig: SlackRig, clock: VirtualClock) -> AsyncIterator[Channel]:
    async with opened(rig, clock) as channel:
        yield channel


def _no(error: str) -> Answer:
    return Answer(body={"ok": False, "error": error})


def _texts(posted: dict[str, Any]) -> list[str]:
    return [block["text"]["text"] for block in posted["blocks"]]


async def test_text_cannot_become_markup(slack: SlackReceiver, channel: Channel) -> None:
    """A task that is called `<!channel>` wakes nobody up."""
    await channel.send(replace(MESSAGE, text="<!channel> Smith & Sons"))
    (posted,) = slack.posted.values()
    assert _texts(posted) == ["&lt;!channel&gt; Smith &amp; Sons"]
    assert posted["text"] == "&lt;!channel&gt; Smith &amp; Sons"


async def test_a_long_text_is_cut_at_line_ends(slack: SlackReceiver, channel: Channel) -> None:
    """Slack takes 3 000 characters a section; nothing of the text is lost."""
    text = "".join(f"{number}: Smith & Sons\n" for number in range(400))
    await channel.send(replace(MESSAGE, text=text))
    parts = _texts(next(iter(slack.posted.values())))
    assert "".join(parts) == text.replace("&", "&amp;")
    assert all(len(part) <= 3000 and part.endswith("\n") for part in parts)


async def test_a_cut_does_not_split_an_escape(slack: SlackReceiver, channel: Channel) -> None:
    """Half of `&amp;` would be shown as it is."""
    await channel.send(replace(MESSAGE, text="x" * 2998 + "&&&"))
    parts = _texts(next(iter(slack.posted.values())))
    assert parts == ["x" * 2998, "&amp;&amp;&amp;"]


async def test_a_person_is_found_by_mail(slack: SlackReceiver, channel: Channel) -> None:
    """It goes to the person whom the workspace has under this address."""
    first = await channel.send(DIRECT)
    assert first["channel"] == "D-U-bo@x.test"
    assert [request.path for request in slack.requests] == [
        "/api/users.lookupByEmail",
        "/api/chat.postMessage",
    ]
    assert slack.requests[0].headers["authorization"] == f"Bearer {SlackRig.secrets[0]}"


async def test_a_rewritten_message_shows_the_new_text(
    slack: SlackReceiver, channel: Channel
) -> None:
    """The message stays in its place and keeps the key it was posted with."""
    receipt = await channel.send(MESSAGE)
    rewrite = replace(MESSAGE, key="of-the-update", text="reopened", receipt=receipt)
    await channel.take_back(replace(rewrite, undo="update"))
    (posted,) = slack.posted.values()
    assert _texts(posted) == ["reopened"]
    assert posted["metadata"]["event_payload"] == {"key": MESSAGE.key}


@pytest.mark.parametrize("message", [MESSAGE, DIRECT], ids=["channel", "person"])
async def test_a_message_whose_answer_was_lost_is_found(
    slack: SlackReceiver, channel: Channel, message: Any
) -> None:
    """The key in the history proves that the message is there, behind whatever came later."""
    found = [Answer(body={"ok": True, "user": {"id": "U-bo@x.test"}})]
    slack.reply(*(found if message is DIRECT else []), Answer(fault=Fault.RESET_AFTER))
    with pytest.raises(SendError):
        await channel.send(message)
    arrived = slack.take(slack.requests[-1].json)
    for number in range(5):
        await channel.send(replace(message, key=f"later-{number}"))
    assert await channel.find(message) == arrived


async def test_a_message_that_never_arrived_is_not_found(
    slack: SlackReceiver, channel: Channel
) -> None:
    """Other messages in the channel are not taken for it."""
    await channel.send(replace(MESSAGE, key="another"))
    assert await channel.find(MESSAGE) is None
    assert await channel.find(replace(MESSAGE, target="#nowhere")) is None
    since = next(one.query["oldest"] for one in slack.requests if "oldest" in one.query)
    assert float(since) == (MESSAGE.at - timedelta(minutes=5)).timestamp()


async def test_a_forbidden_history_finds_nothing(slack: SlackReceiver, channel: Channel) -> None:
    """Without the permission to read, a message is rather posted twice than never."""
    slack.reply(_no("missing_scope"))
    assert await channel.find(MESSAGE) is None


async def test_a_busy_history_is_asked_again_later(slack: SlackReceiver, channel: Channel) -> None:
    """Not to know now is not to know that it did not arrive."""
    slack.reply(Answer(429, headers={"retry-after": "30"}))
    with pytest.raises(SendError) as caught:
        await channel.find(MESSAGE)
    assert caught.value.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("channel_not_found", "invite the app"),
        ("invalid_auth", "token is not valid"),
        ("not_in_channel", "invite it"),
        ("is_archived", "archived"),
        ("something_new", r"\(something_new\)"),
        ("<p>no</p>", "did not say why"),
    ],
)
async def test_a_refusal_is_final_and_says_why(
    slack: SlackReceiver, channel: Channel, code: str, sentence: str
) -> None:
    """The operator reads what to do; asking again would not help."""
    slack.reply(_no(code))
    with pytest.raises(SendError, match=sentence) as caught:
        await channel.send(MESSAGE)
    assert caught.value.permanent


@pytest.mark.parametrize("code", ["edit_window_closed", "message_not_found", "cant_update_message"])
async def test_a_message_that_cannot_be_rewritten_stays(
    slack: SlackReceiver, channel: Channel, code: str
) -> None:
    """The three ways in which Slack refuses a rewrite are final."""
    receipt = await channel.send(MESSAGE)
    slack.reply(_no(code))
    with pytest.raises(SendError, match=code) as caught:
        await channel.take_back(replace(MESSAGE, receipt=receipt, undo="update"))
    assert caught.value.permanent


@pytest.mark.parametrize("code", ["ratelimited", "service_unavailable", "request_timeout"])
async def test_not_now_is_not_never(slack: SlackReceiver, channel: Channel, code: str) -> None:
    """Slack did nothing and may do it later."""
    slack.reply(_no(code))
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    assert not caught.value.permanent
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b"oops"),
        Answer(200, b"<html>a proxy's page</html>"),
        Answer(200, body=["not", "Slack"]),
        Answer(200, b'{"ok": tr'),
        _no("internal_error"),
    ],
    ids=["500", "page", "list", "truncated", "internal_error"],
)
async def test_nonsense_leaves_the_outcome_unknown(
    slack: SlackReceiver, channel: Channel, answer: Answer
) -> None:
    """An answer that says neither yes nor no proves nothing."""
    slack.reply(answer)
    with pytest.raises(SendError) as caught:
        await channel.send(MESSAGE)
    assert caught.value.outcome_unknown


@pytest.mark.parametrize(
    "body", [b"x" * 10_000, gzip.compress(b" " * 10_000, mtime=0)], ids=["plain", "packed"]
)
async def test_no_answer_fills_the_memory(
    channel: Channel, slack: SlackReceiver, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever answers in place of Slack is read up to a limit, packed or not."""
    monkeypatch.setattr("service.http.client.LARGEST_REPLY", 1000)
    slack.reply(Answer(200, body, {"content-encoding": "gzip"}))
    with pytest.raises(SendError, match=r"cannot be read: it .* more than 1000 bytes") as caught:
        await channel.send(MESSAGE)
    assert caught.value.outcome_unknown


async def test_what_names_a_message_is_short(channel: Channel, slack: SlackReceiver) -> None:
    """No megabyte is kept for the name of a message that nobody will ask for."""
    slack.reply(Answer(body={"ok": True, "channel": "C1", "ts": "1" * MIB}))
    assert await channel.send(MESSAGE) == {"channel": "C1", "ts": None}


async def test_an_incoming_webhook_posts_and_no_more(clock: VirtualClock) -> None:
    """It takes the text, and can neither take it back nor be asked."""
    async with HttpReceiver() as hook, open_client(LOOPBACK) as client:
        channel = configured("slack", client, clock, webhook_url=f"{hook.url}/services/hidden")
        receipt = await channel.send(replace(MESSAGE, text="<done>"))
        assert _texts(hook.requests[0].json) == ["&lt;done&gt;"]
        assert await channel.find(MESSAGE) is None
        with pytest.raises(SendError, match="cannot take back") as caught:
            await channel.take_back(replace(MESSAGE, receipt=receipt, undo="update"))
        assert caught.value.permanent


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, b"<html>Blocked</html>", {"content-type": "text/html"}),
        Answer(200, b"<html>Sign in</html>", {"content-type": "text/html; charset=utf-8"}),
        Answer(302, b"", {"location": "https://login.firm.test/"}),
        Answer(408, b""),
    ],
)
async def test_a_page_is_no_answer_of_an_incoming_webhook(
    clock: VirtualClock, answer: Answer
) -> None:
    """What stands in between has posted nothing, and says nothing of Slack: it is tried again."""
    async with HttpReceiver() as hook, open_client(LOOPBACK) as client:
        channel = configured("slack", client, clock, webhook_url=f"{hook.url}/services/hidden")
        hook.reply(answer)
        with pytest.raises(SendError, match="not as Slack does") as caught:
            await channel.send(MESSAGE)
    assert not caught.value.permanent
    assert caught.value.outcome_unknown


async def test_an_incoming_webhook_hides_its_address(clock: VirtualClock) -> None:
    """Whoever knows the address can post: it is in no error."""
    async with HttpReceiver() as hook, open_client(LOOPBACK) as client:
        channel = configured("slack", client, clock, webhook_url=f"{hook.url}/services/hidden")
        hook.reply(Answer(404, b"no_service"), Answer(fault=Fault.RESET_AFTER))
        with pytest.raises(SendError, match="make a new one") as refused:
            await channel.send(MESSAGE)
        with pytest.raises(SendError) as lost:
            await channel.send(MESSAGE)
    assert refused.value.permanent
    assert lost.value.outcome_unknown
    assert "hidden" not in f"{refused.value} {lost.value} {lost.value.__cause__!r}"


@pytest.mark.parametrize(
    "given", [{}, {"token": "hidden", "webhook_url": "https://hooks.slack.test/hidden"}]
)
def test_there_is_exactly_one_way_in(given: dict[str, str]) -> None:
    """Neither token nor address, or both, is a fault of the configuration."""
    with pytest.raises(ValidationError, match="either token or webhook_url") as caught:
        SlackOptions.model_validate({"name": "team", "kind": "slack", **given})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("app_token", "why"),
    [("xapp-of-the-app", None), ("xoxb-of-the-bot", "must be an App-Level Token")],
)
async def test_the_doctor_tries_the_connection_for_buttons(
    slack: SlackReceiver, clock: VirtualClock, app_token: str, why: str | None
) -> None:
    """A bot's token in place of the app's is told with what to do."""
    async with slack, open_client(LOOPBACK, timeout=5) as client:
        url = f"{slack.url}/api"
        given = {"token": "xoxb-x", "api_url": url, "app_token": app_token}
        channel = configured("slack", client, clock, **given)
        if why is None:
            await channel.probe(check_connection_never)
        else:
            with pytest.raises(SendError, match=why):
                await channel.probe(check_connection_never)


async def check_connection_never(*_: object) -> None:
    """What the doctor does where there is no better test."""
    raise AssertionError("Slack can be asked")


def _lookups(slack: SlackReceiver) -> int:
    return sum(one.path == "/api/users.lookupByEmail" for one in slack.requests)


async def test_a_user_is_looked_up_once_a_day_and_after_a_failure(
    rig: SlackRig, channel: Channel, clock: VirtualClock
) -> None:
    """Ten messages to one person take one lookup; who has left is noticed at the first failure."""
    for number in range(10):
        await channel.send(replace(DIRECT, key=f"k{number}"))
    assert _lookups(rig.receiver) == 1
    clock.advance(timedelta(days=1, seconds=1))
    await channel.send(replace(DIRECT, key="k10"))
    assert _lookups(rig.receiver) == 2
    rig.receiver.reply(Answer(body={"ok": False, "error": "channel_not_found"}))
    with pytest.raises(SendError):
        await channel.send(replace(DIRECT, key="k11"))
    await channel.send(replace(DIRECT, key="k12"))
    assert _lookups(rig.receiver) == 3


def _with_markup(*parts: str) -> Message:
    """A message of parts, of which the first, the third and so on are what the rule has written."""
    ends = [len("".join(parts[: number + 1])) for number in range(len(parts))]
    spans = [(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
    markup = tuple(place for span in spans[::2] for place in span)
    return replace(MESSAGE, text="".join(parts), markup=markup)


async def _shown(channel: Channel, slack: SlackReceiver, message: Message) -> str:
    await channel.send(message)
    return "".join(_texts(list(slack.posted.values())[-1]))


async def test_a_rule_writes_links_with_labels_and_mentions(
    slack: SlackReceiver, channel: Channel
) -> None:
    """The address and the label may be a task's; whoever is mentioned is the rule's alone."""
    said = _with_markup("@here [", "Smith & <Sons>", "](", "https://t.test/?a=1&b=2|x", ") now")
    assert await _shown(channel, slack, said) == (
        "<!here> <https://t.test/?a=1&amp;b=2%7Cx|Smith &amp; &lt;Sons&gt;> now"
    )
    group = _with_markup("<!subteam^S012AB> see [the plan](https://t.test/?a=1&b=2)")
    assert await _shown(channel, slack, group) == (
        "<!subteam^S012AB> see <https://t.test/?a=1&amp;b=2|the plan>"
    )


@pytest.mark.parametrize(
    "value",
    ["@here", "<!channel>", "[x](https://evil.test)", "](https://evil.test) @everyone", "<@U1>"],
)
async def test_a_value_of_a_task_is_no_markup(
    slack: SlackReceiver, channel: Channel, value: str
) -> None:
    """Nobody is called by what stands in a task, and a link shows where it leads."""
    for said in (
        _with_markup("New: [", value, "] @ 9"),
        _with_markup("*", value, "*"),
        replace(MESSAGE, text=f"@here {value}"),
    ):
        shown = await _shown(channel, slack, said)
        assert not re.search(r"<(?!https://evil\.test[^|>]*>)", shown)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            "*bold* _it_ ~no~ `code`",
            "\u2217bold\u2217 \u02cdit\u02cd \u223cno\u223c \u02cbcode\u02cb",
        ),
        (
            "__a__ ```b``` ***",
            "\u02cd\u02cda\u02cd\u02cd \u02cb\u02cb\u02cbb\u02cb\u02cb\u02cb \u2217\u2217\u2217",
        ),
        ("\uff0aa\uff0a \uff3fb\uff3f \uff40c\uff40", "\ufe61a\ufe61 \u2e0fb\u2e0f \u02cbc\u02cb"),
        ("> quoted\n> twice", "\u00ad&gt; quoted\n\u00ad&gt; twice"),
        ("A_1, snake_case, 3*4, 10~12", "A_1, snake_case, 3*4, 10~12"),
        ("&lt;!channel&gt; &amp;", "&amp;lt;!channel&amp;gt; &amp;amp;"),
        ("https://x.test/a_b_?a=1&b=*.", "<https://x.test/a_b_?a=1&amp;b=>\u2217."),
        ("<https://evil.test|free>", "&lt;<https://evil.test%7Cfree>\u00ad&gt;"),
    ],
)
async def test_a_value_of_a_task_is_shown_as_it_is(
    slack: SlackReceiver, channel: Channel, value: str, shown: str
) -> None:
    """Not bold, not quoted, not code; Slack is told not to look for anything in it."""
    for said in (_with_markup("", value, ""), replace(MESSAGE, text=value)):
        assert await _shown(channel, slack, said) == shown
    blocks = [one for posted in slack.posted.values() for one in posted["blocks"]]
    assert all(one["text"]["verbatim"] for one in blocks)


async def test_an_address_is_a_link_whoever_has_written_it(
    slack: SlackReceiver, channel: Channel
) -> None:
    """In whole, if a rule begins it and a task ends it, or the other way round."""
    said = _with_markup("*See* https://t.test/?q=", "a_b_c d", ", ", "https://t.test/1", "/edit.")
    assert await _shown(channel, slack, said) == (
        "*See* <https://t.test/?q=a_b_c> d, <https://t.test/1/edit>."
    )


async def test_a_link_is_on_one_line(slack: SlackReceiver, channel: Channel) -> None:
    """A title of several lines, or an address with one in it, does not end it."""
    said = _with_markup("[", "two\nlines *x*", "](", "https://t.test/\n1", ")")
    assert await _shown(channel, slack, said) == "<https://t.test/%0A1|two lines \u2217x\u2217>"


@pytest.mark.parametrize("length", [1990, 4000])
async def test_a_link_that_is_too_long_is_text(
    slack: SlackReceiver, channel: Channel, length: int
) -> None:
    """Half of it would be shown as it is written."""
    address = f"https://t.test/{'x' * length}"
    for said in (replace(MESSAGE, text=address), _with_markup("[open](", address, ")")):
        shown = await _shown(channel, slack, said)
        assert "<" not in shown
        assert address in shown


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("x" * 3000, [3000]),
        ("x" * 3001, [3000, 1]),
        ("\U0001f9f9" * 1500, [3000]),
        ("x" + "\U0001f9f9" * 1500, [2999, 2]),
        ("x" * 2999 + "e\u0301", [2999, 2]),
        ("x" * 2998 + "\U0001f44d\U0001f3fd", [2998, 4]),
        ("x" * 2997 + "&&", [2997, 10]),
        ("x" * 2995 + "&&", [3000, 5]),
        ("e" + "\u0301" * 3500, [3000, 501]),
        ("x" * 9000, [3000, 3000, 3000]),
    ],
)
async def test_a_text_as_long_as_slack_takes_it(
    slack: SlackReceiver, channel: Channel, text: str, lengths: list[int]
) -> None:
    """In the units that Slack counts; what belongs together is not torn apart."""
    await channel.send(replace(MESSAGE, text=text))
    parts = _texts(next(iter(slack.posted.values())))
    assert [utf16_units(part) for part in parts] == lengths
    assert "".join(parts) == text.replace("&", "&amp;")


@pytest.mark.parametrize("sign", ["x", "\U0001f9f9", "&"])
async def test_a_text_longer_than_that_has_a_mark(
    slack: SlackReceiver, channel: Channel, sign: str
) -> None:
    """One unit more is too much for all of it."""
    await channel.send(replace(MESSAGE, text="." + sign * 9000))
    parts = _texts(next(iter(slack.posted.values())))
    assert 8900 < sum(map(utf16_units, parts)) <= 9000
    assert "…" in parts[-1]


@pytest.mark.parametrize("address", ["javascript:alert(1)", "", "file:///etc/passwd", "x y"])
async def test_a_link_that_leads_nowhere_is_text(
    slack: SlackReceiver, channel: Channel, address: str
) -> None:
    """What is no web, mail or phone address is shown beside its label."""
    shown = await _shown(channel, slack, _with_markup("[open](", address, ")"))
    assert "<" not in shown
    assert "open" in shown


async def test_a_cut_leaves_no_half_of_a_link(slack: SlackReceiver, channel: Channel) -> None:
    """What a rule has linked is a link, or is left out."""
    shown = await _shown(channel, slack, _with_markup("[the plan of it](https://t.test/1) " * 400))
    assert "\n…" in shown
    assert shown.count("<https://t.test/1|the plan of it>") == shown.count("<") > 100
