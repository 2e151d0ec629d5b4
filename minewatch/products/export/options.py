"""What every export is given beside the alerts."""

from __future__ import annotations

from dataclasses import dataclass, field

from minewatch.alerts.credits import AlertCredits
from minewatch.alerts.csv_dialects import DIALECTS, RFC_4180, CsvDialect
from minewatch.core.errors import AlertsError


@dataclass(frozen=True)
class ExportOptions:
    """What every format is given beside the alerts."""

    credits: AlertCredits = field(default_factory=AlertCredits)
    """Whom to credit."""

    locale: str | None = None
    """One of DIALECTS, the language of the Excel that CSV is for; None = as RFC 4180 has it, for programs."""

    @property
    def dialect(self) -> CsvDialect:
        """Of CSV; raises AlertsError for an unknown language."""
        if self.locale is None:
            return RFC_4180
        if self.locale not in DIALECTS:
            raise AlertsError(f"unknown locale {self.locale!r}; known: {', '.join(DIALECTS)}")
        return DIALECTS[self.locale]
