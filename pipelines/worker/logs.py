"""One way to log for every process, for our own lines and those of the libraries."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

from pipelines.worker.settings import LogOptions

# They say at "info" what we say ourselves, or what nobody acts on.
_TALKATIVE = (
    "aiokafka",
    "confluent_kafka",
    "faust",
    "kafka",
    "mode",
    "clickhouse_connect",
    "urllib3",
    "httpx",
    "asyncio",
    "nicegui",
)


def configure_logs(options: LogOptions, *, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to ``stream`` (standard error), one line an event.

    ``console`` is for people, ``json`` for collectors: keys event, level, logger, timestamp (UTC, ISO 8601), and
    what the line brings with it. Libraries are heard from "warning" on, unless the level is "debug".
    """
    level = logging.getLevelNamesMapping()[options.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    out = stream or sys.stderr
    render: list[Processor]
    if options.format == "json":
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=out.isatty())]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(level if level == logging.DEBUG else max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # tests and `friction up` configure more than once
    )
