"""Hands the alerts over in the formats that people's programs read: the same columns in each, dates as ISO 8601, UTF-8."""

from minewatch.export.formats import DEFAULT, FORMATS, Export, export_alerts

__all__ = ["DEFAULT", "FORMATS", "Export", "export_alerts"]
