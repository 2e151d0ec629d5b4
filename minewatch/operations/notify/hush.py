"""Keeps what libraries log while a message is sent: they name addresses, and tokens stand in these."""

from __future__ import annotations

import logging

PREFIX = "notify-"
"""Names of the threads that send."""

LIBRARIES = ("urllib3", "requests", "requests_oauthlib", "oauthlib")
"""Whose loggers are silent in these threads."""


class _SilencedLogs(logging.Filter):
    """Lets nothing pass from a thread that sends."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record passes."""
        return not (record.threadName or "").startswith(PREFIX)


_HUSH = _SilencedLogs()


def silence_libraries() -> None:
    """Silence the loggers that there are by now; filters are not inherited, so each has its own."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] in LIBRARIES:
            logger.addFilter(_HUSH)
