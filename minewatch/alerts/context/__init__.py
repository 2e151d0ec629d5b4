"""The legal and natural context of an alert: which concessions, reserves and territories it lies in, and distances.

The layers are the user's files, declared in ``minewatch.toml``.  The context depends on the alert's outline, the day it was
first seen, and these layers, on nothing else.
"""
