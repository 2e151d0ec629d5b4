"""Export of the alerts to common formats: the same columns in each, dates as ISO 8601, UTF-8."""
