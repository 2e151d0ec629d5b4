"""The foundation; knows nothing of satellites.

Provides errors, text that is safe to show, atomic writes, the lock of a workspace, structured logs, signals, HTTP with
limits, the policy for addresses in untrusted input, Dask, progress bars, and the paths of a workspace.
"""
