"""A message to several targets by Apprise: whoever has got it does not get it again."""

from pathlib import Path

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer, HttpReceiver

RULES = """
- id: new
  when: task.created
  then: [{ notify: push, text: "{{ task.title }}" }]
"""


async def started(taskbell: Corridor, *receivers: HttpReceiver) -> None:
    urls = ", ".join(f'"json://127.0.0.1:{one.port}/key"' for one in receivers)
    taskbell.head["more_channels"] = (
        f"push: {{ kind: apprise, url: [{urls}], unguarded: true, timeout: 3s }}"
    )
    await taskbell.restart(RULES)
    await taskbell.begin()


async def test_a_later_attempt_goes_to_the_target_that_failed(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """One of two fails twice: the reason names it, and the other one rings once."""
    async with HttpReceiver() as one, HttpReceiver() as other:
        other.reply(Answer(503), Answer(503))
        async with corridor(
            folder, pool, clock, "- { id: none, when: task.deleted, then: [{ wait: 1h }] }"
        ) as taskbell:
            await started(taskbell, one, other)
            await taskbell.webhook(taskbell.visit(name="roof"))
            await taskbell.deliver()
            [waiting] = await taskbell.deliveries()
            assert waiting["state"] == "planned"
            assert waiting["reason"].startswith("target 2 (JSON) failed: ")
            for _ in range(2):
                await taskbell.tick(hours=1)
                await taskbell.deliver()
            assert await taskbell.states() == ["sent"]
        assert [len(one.requests), len(other.requests)] == [1, 3]
