"""Where an alert lies in law and landscape: inside which concessions, reserves and territories, how far from what.

The layers are files of the workspace's owner, declared in ``minewatch.toml``.  What is said of an alert is a function of
its outline, the day it was first seen, and those layers; no clock has any influence on it.
"""
