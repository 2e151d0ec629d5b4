"""Watch areas of interest for illegal mining in Sentinel-2 imagery."""

__version__ = "0.1.0"
