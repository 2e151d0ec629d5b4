"""The alerts in the formats that people's programs read: the same columns in each, dates as ISO 8601, UTF-8."""
