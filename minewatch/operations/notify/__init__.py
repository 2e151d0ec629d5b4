"""Notifies people of what is new: events, messages in an outbox on the disk, and their delivery, at least once."""
