"""`python -m workers`: one worker process."""

import asyncio
import os
import signal
import sys

import uvloop

from service import collector, config, lifeline, log
from service.clock import SystemClock
from service.errors import TaskbellError
from service.settings import Settings, read_settings
from workers.assembly import open_shift
from workers.rounds import go_round
from workers.settings import listen


async def work(settings: Settings) -> None:
    """Work until the process is told to stop; what is in hand then is finished first."""
    configuration = config.load(settings.taskbell_config, os.environ)
    async with open_shift(settings, configuration, SystemClock()) as shift:
        collector.look_seldom()
        busy = [
            asyncio.create_task(go_round(shift)),
            asyncio.create_task(listen(shift, settings)),
        ]
        await _told_to_stop()
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


async def _told_to_stop() -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def main() -> None:
    """Run the worker; a fault in the settings or the configuration ends it with code 1."""
    lifeline.end_with_supervisor(os.environ)
    try:
        with log.explaining_the_end():
            settings = read_settings()
            log.configure(settings)
            uvloop.run(work(settings))
    except TaskbellError as error:
        sys.exit(str(error))


main()
