"""Structured logging, one line per event, for terminals or as JSON.

Messages of libraries, warnings and unhandled errors have the same format.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from types import TracebackType
from typing import TYPE_CHECKING, TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from service.errors import TaskbellError
from service.settings import Settings
from service.telemetry.log_lines import LogLines
from service.telemetry.visible import visible

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

log = structlog.get_logger()

_COMMON: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(settings: Settings) -> None:
    """Send this process's log, and that of its libraries, to standard error."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    lines = cast("TextIO", LogLines())
    structlog.configure(
        processors=[*_COMMON, *_rendering(settings)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(lines),
        cache_logger_on_first_use=True,
    )
    # Libraries speak up only when something is wrong: their routine is not ours.
    logging.basicConfig(
        level=max(level, logging.WARNING), handlers=[_of_libraries(settings, lines)]
    )
    logging.captureWarnings(capture=True)
    sys.excepthook, sys.unraisablehook = _log_crash, _log_unraisable


@contextmanager
def explaining_the_end() -> Iterator[None]:
    """Around an unattended process: if the log is JSON, a fatal error is logged as a line.

    Otherwise the error is raised, for a person to read as it is.
    """
    try:
        yield
    except TaskbellError as error:
        # The settings may be what is wrong, so that the log is not configured yet.
        if os.environ.get("LOG_FORMAT") != "json":
            raise
        configure(Settings(log_format="json"))
        log.critical("process.stopped", error=str(error))
        sys.exit(1)


def _of_libraries(settings: Settings, lines: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_COMMON, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(settings),
            ],
        )
    )
    return handler


def _rendering(settings: Settings) -> list[Processor]:
    if settings.log_format == "console":
        return [
            _visibly,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=_plain_traceback
            ),
        ]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(
            serializer=lambda line, **_: orjson.dumps(line, default=str).decode()
        ),
    ]


def _visibly(logger: WrappedLogger, name: str, line: EventDict) -> EventDict:
    """Escape characters that act on a terminal; values that are not text are shown as such."""
    del logger, name
    return {key: visible(one) if isinstance(one, str) else one for key, one in line.items()}


def _plain_traceback(out: TextIO, error: ExcInfo) -> None:
    """A plain traceback: one with local variables would show passwords."""
    written = StringIO()
    structlog.dev.plain_traceback(written, error)
    out.write(visible(written.getvalue()))


def _log_crash(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    log.critical("process.crashed", exc_info=(kind, error, traceback))


def _log_unraisable(args: "UnraisableHookArgs") -> None:
    """An error that could not be raised, such as while an object was destroyed."""
    log.error("process.unraisable", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
