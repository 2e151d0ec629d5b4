"""External alerts: what other systems saw where our alerts are, when, and how far away.

A corroboration is a human's addition, like a review: it is kept in a file that only grows, with the date from which it
acts and a copy of what the others saw near the areas.  So every table that is made anew, and every later alert, shows the
same; no clock and no earlier table has any influence on it.
"""
