"""Tells people what is new: events, messages in an outbox on the disk, and their delivery, at least once."""

from minewatch.notify.collection import collect, find_rules
from minewatch.notify.delivery import Delivery, deliver, retry

__all__ = ["Delivery", "collect", "deliver", "find_rules", "retry"]
