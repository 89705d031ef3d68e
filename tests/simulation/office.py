"""What people do in the firm's task system, and the webhooks that it then sends."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import orjson

from service.sandbox.system import Raw
from tests.simulation import firm
from tests.simulation.plan import Act, Step
from tests.simulation.task_system import TaskSystem

_RETRIES = (5.0, 30.0, 120.0)  # seconds after which a webhook is sent again that was not taken


class Office:
    """The people of the firm. `bring` hands a webhook over; False if nobody has taken it."""

    def __init__(self, system: TaskSystem, bring: Callable[[bytes], Awaitable[bool]]) -> None:
        self._system = system
        self._bring = bring
        self._ids = firm.fill(system)
        self._under_way: set[asyncio.Task[None]] = set()

    def do(self, step: Step) -> None:
        """Do something to a task, if it is there."""
        task_id = self._ids[step.which % len(self._ids)]
        if step.act is Act.MAKE:
            start = self._system.clock.now() + timedelta(minutes=step.number)
            task_id = firm.make(self._system, f"job {len(self._ids) + 1}", start)
            self._ids.append(task_id)
        elif task_id in self._system.tasks:
            self._change(task_id, step)
        else:
            return
        body = orjson.dumps(self._webhook(task_id, step))
        for delay in step.copies:
            sending = asyncio.create_task(self._send(body, delay))
            self._under_way.add(sending)
            sending.add_done_callback(self._under_way.discard)

    async def all_is_sent(self) -> None:
        """Wait until no webhook is under way any more."""
        await asyncio.gather(*self._under_way)

    def _change(self, task_id: str, step: Step) -> None:
        emulation, now = self._system.emulation, self._system.clock.now()
        match step.act:
            case Act.FINISH:
                emulation.finish(task_id)
            case Act.REOPEN:
                emulation.reopen(task_id)
            case Act.MOVE:
                emulation.change(task_id, scheduled_at=now + timedelta(minutes=step.number))
            case Act.RENAME:
                emulation.change(task_id, name=f"renamed at {now:%H:%M:%S.%f}")
            case Act.DELETE:
                emulation.delete(task_id)
        self._system.note(task_id)

    def _webhook(self, task_id: str, step: Step) -> Raw:
        """The body of the webhook about what has just happened; no two are equal."""
        raw = self._system.shown(task_id)
        number = sum(len(one) for one in self._system.truths.values())
        if raw is None:
            return {"event": "task.deleted", "data": {"id": task_id, "number": number}}
        return {"id": task_id, "number": number} if step.is_hint else {"data": raw}

    async def _send(self, body: bytes, delay: float) -> None:
        """Send a webhook, and again while nobody takes it; at last it is given up."""
        for pause in (delay, *_RETRIES):
            await asyncio.sleep(pause)
            if await self._bring(body):
                return
