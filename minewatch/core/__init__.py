"""What everything stands on; knows nothing of satellites.

Gives errors, text that is safe to show, files that appear whole or not at all, the lock of a workspace, structured logs,
signals, HTTP with limits, the policy for strangers' addresses, Dask behind one door, progress bars, and the workspace: the
one place that knows the names of its folders.
"""
