"""``[schedules.NAME]``, ``[watch]``, ``[notify.NAME]`` and ``[prune]``: unattended operation."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from minewatch.settings.cron import check_cron
from minewatch.settings.tables import Table, check_address, check_variable


class ScheduleTable(Table):
    """``[schedules.NAME]``: which areas are scanned, and when."""

    areas: tuple[Annotated[str, Field(min_length=1)], ...] = Field(("*",), min_length=1)
    """Names of areas, or patterns with ``*``."""

    cron: str
    """Minute, hour, day, month, weekday: UTC."""

    pipeline: str | None = Field(None, min_length=1)
    """In place of the areas' own; such scans are what-ifs, written apart, without notifications."""

    source: str | None = Field(None, min_length=1)
    """Provider, address or path in place of the areas' own source."""

    priority: int = Field(1, ge=1, le=99)
    """1 goes first."""

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, value: str) -> str:
        return check_cron(value)

    @field_validator("source")
    @classmethod
    def _check_source(cls, value: str | None) -> str | None:
        return value if value is None else check_address(value)


class WatchTable(Table):
    """``[watch]``: how the watch works."""

    jitter_minutes: int = Field(10, ge=0, le=360)
    """Largest delay of a schedule, constant per machine, so that not all machines start at once."""

    heartbeat_file: str | None = Field(None, min_length=1)
    """Written after each cycle, relative to the workspace; left out = ``output/heartbeat.json``."""

    heartbeat_variable: str | None = None
    """Environment variable with an address requested after each cycle; left out = no address."""

    @field_validator("heartbeat_variable")
    @classmethod
    def _check_variable(cls, value: str | None) -> str | None:
        return value if value is None else check_variable(value)


EventKind = Literal["provisional", "confirmed", "grown", "closed", "reviewed", "scan-failed", "unseen", "reported-unseen"]
"""Events that a recipient can get messages about."""

_PATTERN = re.compile(r"[\w.*-]{1,64}")
"""An area's name, in which * matches any characters."""


class NotifyTable(Table):
    """``[notify.NAME]``: one recipient and its messages."""

    to_variable: str = ""
    """Environment variable with an apprise address such as ``mailtos://…``; this or a webhook."""

    webhook_variable: str = ""
    """Environment variable with the https address that gets JSON."""

    secret_variable: str = ""
    """Environment variable with the secret that signs a webhook's messages."""

    hosts: tuple[str, ...] = ()
    """Hosts (``name`` or ``name:port``) whose webhooks may be plain http."""

    areas: tuple[str, ...]
    """Names of areas, in which * matches any characters."""

    events: tuple[EventKind, ...] = get_args(EventKind)
    """Events to report."""

    grown_ha: float = Field(0.5, ge=0)
    """Growth since the recipient's last message about an alert from which it is reported again."""

    unseen_days: int = Field(30, ge=1)
    """Days without a clear look after which an area is reported as unseen."""

    smallest_ha: float = Field(0.0, ge=0)
    """Smaller alerts, and smaller places of ``reported-unseen``, are not reported."""

    min_mine_score: float | None = Field(None, gt=0, le=1)
    """Alerts that look less like a mine are not reported, mines among them; those without a score always are.  Left out = all."""

    legal_status: tuple[Literal["inside", "application", "exploration", "expired", "outside", "unknown"], ...] = ()
    """Legal status of the alerts to report; [] = all."""

    coordinates: bool = True
    """True = messages may contain locations: coordinates, map links, outlines, place names, notes."""

    images: bool | None = None
    """True = messages may contain images; left out = as ``coordinates``."""

    when: Literal["at-once", "daily", "weekly"] = "at-once"
    """At once, or one message per day or week, UTC."""

    language: Literal["en", "es", "fr", "pt"] = "en"
    """Of the message."""

    @property
    def shows_images(self) -> bool:
        """True if messages may contain images."""
        return self.coordinates if self.images is None else self.images

    @field_validator("to_variable", "webhook_variable", "secret_variable")
    @classmethod
    def _check_variable(cls, value: str) -> str:
        return value and check_variable(value)

    @field_validator("areas")
    @classmethod
    def _check_areas(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(_PATTERN.fullmatch(name) for name in value):
            raise ValueError('name the areas whose news go there, such as ["la-pampa"], ["la-*"] or, for all, ["*"]')
        return value

    @field_validator("events")
    @classmethod
    def _check_events(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(f"name at least one of {', '.join(get_args(EventKind))}")
        return value

    @model_validator(mode="after")
    def _check_recipient(self) -> NotifyTable:
        if bool(self.to_variable) == bool(self.webhook_variable):
            raise ValueError("give either to_variable or webhook_variable: the environment variable that holds the address")
        if bool(self.webhook_variable) != bool(self.secret_variable):
            raise ValueError("webhook_variable and secret_variable go together: what a webhook gets is always signed")
        if self.hosts and not self.webhook_variable:
            raise ValueError("hosts is for webhooks")
        return self


class PruneTable(Table):
    """``[prune]``: how large the archive may grow."""

    keep_gb: float | None = Field(None, gt=0)
    """Gigabytes (10^9 bytes) of all areas' archives together; left out = no budget."""
