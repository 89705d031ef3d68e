"""Logging: one wide line a stage, for people on a terminal or as JSON for machines."""

import logging
import sys

import orjson
import structlog
from structlog.typing import Processor

from service.settings import Settings


def configure(settings: Settings) -> None:
    """Send this process's log, and that of the libraries it stands on, to standard error."""
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    level = logging.getLevelNamesMapping()[settings.log_level]
    structlog.configure(
        processors=[*common, *_rendering(settings)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries speak up only when something is wrong: their routine is not ours.
    logging.basicConfig(
        level=max(level, logging.WARNING), format="%(levelname)s %(name)s: %(message)s"
    )


def _rendering(settings: Settings) -> list[Processor]:
    if settings.log_format == "console":
        # A plain traceback: one that shows local variables would show passwords.
        return [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(
            serializer=lambda line, **_: orjson.dumps(line, default=str).decode()
        ),
    ]
