"""Courses: a simulated case to work on, exercises whose checks look at what is really in the workspace, hints and solutions.

Give: start and read a course, check its exercises (``course``); a mail server to practise with (``mailbox``).
"""
