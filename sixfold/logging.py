"""Logging: structlog, key=value on standard error, never the values of variables in tracebacks."""

import logging
import sys

import structlog

# Faust and mode say at INFO what is of interest to their own developers.
_QUIET = ("faust", "mode", "picows", "httpx", "asyncio")


def configure(level: int = logging.INFO) -> None:
    """Set up logging for this process."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # A traceback with the values of variables would log personal data.
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Whatever is standard error when something is logged: it may be another one by then.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
