"""External alerts: what other systems saw where our alerts are, when, and how far away.

Like a review, a source of external alerts is added by a person: an append-only file keeps it, with the date from which it acts
and a copy of its sightings near the areas.  So every later table and alert shows the same,
independent of clocks and earlier tables.
"""
