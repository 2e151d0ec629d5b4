"""When things run and who is notified: scans, schedules, notifications, status, the doctor, pruning, the demo.

Offers the scan that takes areas through all rooms, and the watch that starts scans by schedule.
"""
