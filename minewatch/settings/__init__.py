"""What a person may set, checked before the first byte of input or output.

Gives pipelines (``pipelines/NAME.toml``), the settings of a workspace (``minewatch.toml``), the providers of imagery, and
cron expressions.
"""
