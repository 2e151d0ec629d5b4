"""The user's own imagery, sharper than Sentinel-2: which item shows a frame best, and its pixels."""
