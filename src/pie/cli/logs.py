"""Format of logs: JSON lines on standard error; on a terminal, coloured text."""

import sys

import structlog


def log_lines(level: str = "info") -> None:
    """Set up structlog for this process, from a level on: `debug`, `info`, `warning` or `error`."""
    human = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
