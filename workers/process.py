"""One worker process."""

import asyncio
import os
import signal
import sys
from contextlib import suppress

import structlog
import uvloop

from service.clock import SharedClock, SystemClock
from service.config import Config
from service.errors import TaskbellError
from service.processes import gc_tuning, parent_pipe
from service.processes.parent_pipe import ParentPipe
from service.reload.report import report
from service.reload.subscriber import follow
from service.settings import Settings, read_settings
from service.store import DATABASE_GONE, DatabaseUnreachable
from service.telemetry import log, tracing
from service.telemetry.visible import visible
from workers.handover import Handover

logger = structlog.get_logger()

_BEFORE_TRYING_AGAIN = 1.0  # seconds


async def work(settings: Settings, line: ParentPipe | None) -> None:
    """Work until the process is told to stop; deliveries in progress are finished first.

    The configuration comes by `line`; without one, from its files.
    """
    handover = Handover(settings, SharedClock(SystemClock()))
    working = asyncio.create_task(_follow(handover, settings, line))
    told = asyncio.create_task(_told_to_stop())
    try:
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    finally:
        await handover.close()


async def _follow(handover: Handover, settings: Settings, line: ParentPipe | None) -> None:
    """Run a worker for each configuration as it comes; an error in the first one is raised."""
    readings = follow(line, settings.taskbell_config, os.environ)
    await handover.hand_over((await anext(readings)).demand())
    gc_tuning.look_seldom()
    async for reading in readings:
        if reading.config is None:
            continue
        if line is None and settings.is_first_worker:
            await report(settings.database, reading.word, SystemClock(), os.environ)
        await _hand_over(handover, reading.config)


async def _hand_over(handover: Handover, config: Config) -> None:
    """Retry until the database is available; meanwhile the previous worker waits for it as well."""
    while True:
        try:
            return await handover.hand_over(config)
        except (DatabaseUnreachable, *DATABASE_GONE) as error:
            logger.warning("worker.waits_for_the_database", error=str(error))
        await asyncio.sleep(_BEFORE_TRYING_AGAIN)


async def _told_to_stop() -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def main() -> None:
    """Run the worker; an error in the settings or the configuration ends it with code 1."""
    line = parent_pipe.end_with_supervisor(os.environ)
    try:
        with log.explaining_the_end():
            settings = read_settings()
            log.configure(settings)
            with tracing.telling("worker", os.environ):
                uvloop.run(work(settings, line))
    except TaskbellError as error:
        sys.exit(visible(str(error)))
