"""All settings, checked before the first byte of input or output.

Provides pipelines (``pipelines/NAME.toml``), the settings of a workspace (``minewatch.toml``), the providers of imagery, and
cron expressions.
"""
