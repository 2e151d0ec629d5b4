"""The words that a likeness is given in, as closed lists, and the numbers between them."""

from __future__ import annotations

MEANING = (
    "Likeness (0 to 1) says how much a satellite image of the ground looks like known mines, for an order in which to look: it"
    " is often wrong, no status rests on it, and it does not say that there is a mine, who works it, or whether that is lawful."
)
"""What it is and is not, wherever a score is shown."""

NOT_SCORED = UNCONFIRMED, CLOUDED, EDGE, STRANGE, NO_GREEN, UNLISTED, UNREADABLE = (
    "unconfirmed",
    "clouded",
    "edge",
    "strange",
    "no-green",
    "unlisted",
    "unreadable",
)
"""Why an alert has no score: it was never confirmed; clouds, haze or shadow hide the ground around it; a part of that has no
data; the ground is unlike anything in training; the scene has no green band; the source no longer lists the scene; the scene
could not be read."""

OF_THE_LOOK = (CLOUDED, EDGE, STRANGE)
"""Those that another look may do without."""

PASSING = (NO_GREEN, UNLISTED, UNREADABLE)
"""Those of the source, not of the look: the next scan tries again."""

MOST_CLOUDED = 0.2
"""Largest share of a chip under cloud, haze, shadow or snow that is scored."""

MOST_EMPTY = 0.25
"""Largest share of a chip without data that is scored: the rest moves the score of a chip of the gallery by .02 on average."""

STRANGEST = 1.0
"""Largest strangeness that is scored: less than a thousandth of the training chips are stranger."""

LIKE, PARTLY, UNLIKE = "like", "partly", "unlike"
"""Grades of scores."""

LIKE_FROM, PARTLY_FROM = 0.6, 0.2
"""Scores from which ground looks like a mine, and from which it does in part."""

DOUBTFUL = 0.15
"""Standard deviation of the score among the networks from which they disagree."""

NAMED_FROM = 0.5
"""Share from which another ground that a chip looks like is named: more than all the others together."""

BARE_FROM, WATER_FROM, PONDS_FROM = 0.05, 0.01, 0.005
"""Shares of a chip from which bare ground, water and ponds are named."""

DRAWN_OUT_FROM = 3.0
"""Length by width from which an alert is called drawn out."""


def grade_score(score: float) -> str:
    """Return the grade of a score."""
    return LIKE if score >= LIKE_FROM else PARTLY if score >= PARTLY_FROM else UNLIKE
