"""Alerts: the replay that makes them, and the GeoPackage that holds them."""
