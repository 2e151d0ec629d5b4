"""The workspace's own settings, ``minewatch.toml``: where scenes come from, what is scanned when, and who is told."""

from minewatch.settings.catalogues import BEST, S3Table, SourceTable
from minewatch.settings.document import Settings, default_source, init_workspace, list_imagery, list_providers, read_settings
from minewatch.settings.template import TEMPLATE
from minewatch.settings.watching import NotifyTable, WatchTable

__all__ = [
    "BEST",
    "TEMPLATE",
    "NotifyTable",
    "S3Table",
    "Settings",
    "SourceTable",
    "WatchTable",
    "default_source",
    "init_workspace",
    "list_imagery",
    "list_providers",
    "read_settings",
]
