"""What came of a try to send a message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeliveryAttempt:
    """What came of one try; the texts hold no address and no secret."""

    sent: bool
    """Whether the other side has it."""

    reason: str = ""
    """Why not."""

    is_refusal: bool = False
    """Whether time alone will seldom change it: the next tries are fewer."""

    is_unset: bool = False
    """Whether nothing could be tried, since a variable is not set or holds no address: such a try is not counted."""

    wait: float | None = None
    """Seconds that the other side asked to be left alone."""


SENT = DeliveryAttempt(sent=True)
"""It has it."""


def fail(reason: str, *, is_refusal: bool = False, is_unset: bool = False, wait: float | None = None) -> DeliveryAttempt:
    """Say that a try failed."""
    return DeliveryAttempt(False, reason, is_refusal, is_unset, wait)
