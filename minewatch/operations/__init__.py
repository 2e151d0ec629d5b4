"""When things run and who is told: scans, schedules, notifications, status, examination, pruning, the demo.

Gives the scan that takes areas through all rooms, and everything that asks for one by itself.
"""
