"""Evidence of confirmed alerts: a folder each, written once, that can be checked, signed and handed over."""
