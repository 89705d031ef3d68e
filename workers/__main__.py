"""`python -m workers`: one worker process."""

import asyncio
import gc
import os
import sys
from contextlib import suppress

import uvloop

from service import config, log
from service.clock import SystemClock
from service.errors import TaskbellError
from service.settings import Settings, read_settings
from workers.assembly import open_shift
from workers.settings import build


async def work(settings: Settings) -> None:
    """Work until the process is told to stop; what is in hand then is finished first."""
    configuration = config.load(settings.taskbell_config, os.environ)
    async with open_shift(settings, configuration, SystemClock()) as shift:
        worker = build(shift, settings.redis)
        # What is there now stays: the collector need not look at it again with every batch.
        gc.collect()
        gc.freeze()
        try:
            # arq answers SIGTERM by cancelling its main task, which is not this one.
            with suppress(asyncio.CancelledError):
                await worker.async_run()
        finally:
            await worker.close()


def main() -> None:
    """Run the worker; a fault in the settings or the configuration ends it with code 1."""
    try:
        settings = read_settings()
        log.configure(settings)
        uvloop.run(work(settings))
    except TaskbellError as error:
        sys.exit(str(error))


main()
