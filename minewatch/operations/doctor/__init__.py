"""Examines the data behind an area: whether what scans say of it can be trusted."""
