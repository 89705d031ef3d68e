"""What Slack takes as a message: by the models of its SDK, and by limits that these do not check.

docs.slack.dev/reference/block-kit and docs.slack.dev/reference/methods/chat.postMessage. That all
texts of a message together have a limit of about 12,000 characters (`msg_blocks_too_long`) is said
in github.com/slackapi/bolt-js/issues/2509 only.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

MOST_BLOCKS, LONGEST_TEXT, LONGEST_FALLBACK, LONGEST_TOGETHER = 50, 3000, 40_000, 12_000


def problems(content: dict[str, Any]) -> list[str]:
    """Why Slack would not take this message; empty if it would."""
    return [*_of_message(content), *(one for block in content["blocks"] for one in _of(block))]


def _of_message(content: dict[str, Any]) -> Iterator[str]:
    blocks, texts = content["blocks"], list(_texts(content["blocks"]))
    if len(blocks) > MOST_BLOCKS:
        yield f"{len(blocks)} blocks"
    if not content["text"] and not blocks:
        yield "no_text"
    if len(content["text"]) > LONGEST_FALLBACK:
        yield "the text for notifications would be cut"
    if sum(map(_units, texts)) > LONGEST_TOGETHER:
        yield "msg_blocks_too_long"
    yield from (f"{_units(one)} characters" for one in texts if not 0 < _units(one) <= LONGEST_TEXT)
    yield from ("a text shows nothing" for one in texts if not one.strip())
    for name in ("action_id", "block_id"):
        yield from (f"{one} twice" for one, count in _ids(blocks, name).items() if count > 1)


def _of(block: dict[str, Any]) -> Iterator[str]:
    """By the SDK: every limit of a single block, and every name in it."""
    try:
        parsed = Block.parse(block)
        if parsed is None or parsed.to_dict() != block:
            yield f"Slack knows no such block: {block}"
    except (SlackObjectFormationError, TypeError) as error:
        yield str(error)


def _texts(part: Any) -> Iterator[str]:
    """The texts of every text object in it."""
    if isinstance(part, list):
        for one in part:
            yield from _texts(one)
    elif isinstance(part, dict):
        if part.get("type") in {"mrkdwn", "plain_text"}:
            yield part["text"]
        yield from _texts([one for one in part.values() if isinstance(one, dict | list)])


def _ids(blocks: list[dict[str, Any]], name: str) -> Counter[str]:
    parts = [*blocks, *(one for block in blocks for one in block.get("elements", ()))]
    return Counter(one[name] for one in parts if name in one)


def _units(text: str) -> int:
    """How long it is as JavaScript counts."""
    return len(text.encode("utf-16-le")) // 2
