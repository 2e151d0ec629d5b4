"""Imagery of the user's own that is sharper than Sentinel-2: which item shows a frame best, and its pixels."""
