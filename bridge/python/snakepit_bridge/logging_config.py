"""Logging as Snakepit's adapters set it up."""

from __future__ import annotations

import logging
import os
import sys

from . import telemetry

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "none": logging.CRITICAL + 1,
}
_FORMAT = "%(asctime)s - [%(threadName)s] - %(name)s - %(levelname)s - [corr=%(correlation_id)s] %(message)s"


class CorrelationFilter(logging.Filter):
    """Gives each record the ``correlation_id`` of the running call, or a dash."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not getattr(record, "correlation_id", ""):
            record.correlation_id = telemetry.get_correlation_id("-")
        return True


def configure_logging(force: bool = False) -> None:
    """Log to standard error from SNAKEPIT_LOG_LEVEL on: debug, info, warning, error (the default) or none.

    Does nothing if logging is set up already, unless by ``force``.
    """
    level = _LEVELS.get(os.environ.get("SNAKEPIT_LOG_LEVEL", "error").strip().lower(), logging.ERROR)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(CorrelationFilter())
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler], force=force)


def get_logger(name: str) -> logging.Logger:
    """A logger below ``snakepit``."""
    if name == "snakepit" or name.startswith("snakepit."):
        return logging.getLogger(name)
    if name.startswith("snakepit_bridge."):
        return logging.getLogger(f"snakepit.bridge.{name[len('snakepit_bridge.'):]}")
    return logging.getLogger(f"snakepit.{name}")
