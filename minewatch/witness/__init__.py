"""What other systems saw where our alerts are: who, when, and how far away.

A corroboration is a human's addition, like a review: it is kept in a file that only grows, with the date from which it
acts and a copy of what the others saw near the areas.  So every table that is made anew, and every later alert, shows the
same; no clock and no earlier table has any influence on it.
"""

from minewatch.witness.agreement import Agreement, Subject, describe_agreements
from minewatch.witness.corroboration import FARTHEST_M, Corroboration, corroborate_alerts, take_back_witness
from minewatch.witness.record import DAYS, DISTANCE_M, Witness, read_witnesses
from minewatch.witness.testimony import hear_witnesses

__all__ = [
    "DAYS",
    "DISTANCE_M",
    "FARTHEST_M",
    "Agreement",
    "Corroboration",
    "Subject",
    "Witness",
    "corroborate_alerts",
    "describe_agreements",
    "hear_witnesses",
    "read_witnesses",
    "take_back_witness",
]
