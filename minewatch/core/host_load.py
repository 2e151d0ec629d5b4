"""How many requests are in flight to one host: fewer after it has said that they are too many, then slowly more again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

REGAIN = 50
"""Successful requests after which one more at a time is tried."""


class HostLoad:
    """The requests to one host; thread-safe.

    Stores allow a user few connections: the Copernicus Data Space four (documentation.dataspace.copernicus.eu/Quotas.html).
    """

    def __init__(self, most: int) -> None:
        self.limit = self._most = most
        self._free = threading.Condition()
        self._running = 0
        self._slowed = 0
        self._successes = 0

    @contextmanager
    def enter(self) -> Iterator[int]:
        """Wait until a request may be sent, for the duration of a block; yields what ``slow_down`` wants to know."""
        with self._free:
            self._free.wait_for(lambda: self._running < self.limit)
            self._running += 1
            ticket = self._slowed
        try:
            yield ticket
        finally:
            with self._free:
                self._running -= 1
                self._free.notify()

    def slow_down(self, ticket: int) -> bool:
        """Halve the limit after a request that was one too many, once for all that were sent together.

        False where it was sent alone: then it is not the number of requests that the host objects to.
        """
        with self._free:
            if ticket != self._slowed:
                return True
            if self._running == 1:
                return False
            self.limit, self._successes = max(self._running // 2, 1), 0
            self._slowed += 1
            return True

    def note_success(self) -> None:
        """Count a request that was answered."""
        with self._free:
            self._successes += 1
            if self._successes >= REGAIN and self.limit < self._most:
                self.limit, self._successes = self.limit + 1, 0
                self._free.notify()


_LOADS: dict[str, HostLoad] = {}


def get_host_load(host: str, most: int) -> HostLoad:
    """Return the load of a host, one for each process."""
    return _LOADS.setdefault(host, HostLoad(most))


os.register_at_fork(after_in_child=_LOADS.clear)  # its locks may be held by threads that do not survive
