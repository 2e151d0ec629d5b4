"""What people said of the alerts of a workspace that a likeness can learn from: which are mines, and which are not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.decisions import CONFIRM, DISMISS
from minewatch.alerts.read import read_alerts
from minewatch.core.workspace import Workspace
from minewatch.likeness.record import ScoredAlert, read_scored

NOT_DECIDED = "not decided"
"""What the review of an alert says that nobody has decided on; these are not counted."""

_OF_LAW = re.compile(
    r"\b(licen[csç]|permi[ts]|authori[sz]|autori[sz]|legal|lawful|conces|t[ií]tulo|titre|registered|duplica|doublon|already|known"
    r"|same as|conocid|conhecid|d[ée]j[àa] connu)",
    re.IGNORECASE,
)
"""Begins words of reasons that speak of law or paper, not of what is on the ground."""

_MINE = re.compile(
    r"\b(mine|mines|mining|mina|minas|mini(er|[èe]re)s?|miner[ií]a|minera[cç][aã]o|garimp\w*|orpaill\w*)\b", re.IGNORECASE
)

_NO = re.compile(r"\b(no|not|non|isn['’]t|without|sin|não|nao|sem|never|pas|sans)\b(?P<between>[^.:;,]*)$", re.IGNORECASE)
"""A word that denies what follows it in its own part of a sentence."""

_SURE = re.compile(r"^ (doubt|new|longer)\b|^ (duda|dúvida|hay duda)", re.IGNORECASE)
"""What follows it where it denies something else."""


@dataclass(frozen=True)
class OwnReviews:
    """Reviewed alerts that were scored, in the order of the table."""

    alert_id: tuple[str, ...]
    """(n,)."""

    aoi: NDArray[np.str_]
    """(n,) their area."""

    mine: NDArray[np.bool_]
    """(n,) what people said."""

    score: NDArray[np.float32]
    """(n,) the shipped score."""

    features: NDArray[np.float16]
    """(n, features)."""

    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why reviews do not count, and how many."""


def judge_review(review: str, text: str, *, is_merged: bool = False) -> bool | str:
    """Return whether a review says that an alert is a mine, or why it says nothing of that.

    A confirmed alert is a mine.  A dismissed one is none, if a reason or a note says why; unless the reason speaks of law or
    paper (licensed, legal, permit, concession, duplicate, already known), or calls it a mine ("old mine", but not "no mine"):
    such ground may well look like a mine.
    """
    if review not in (CONFIRM, DISMISS):
        return NOT_DECIDED
    if is_merged:
        return "merged into another alert"
    return review == CONFIRM or _judge_reason(text)


def _judge_reason(text: str) -> bool | str:
    if not text.strip():
        return "dismissed without a reason"
    if _OF_LAW.search(text):
        return "dismissed for law or paper, not for what it is"
    if (found := _MINE.search(text)) and not _is_denied(text[: found.start()]):
        return "dismissed, and called a mine"
    return False


def _is_denied(before: str) -> bool:
    """True if a text denies what follows it."""
    denied = _NO.search(before)
    return denied is not None and not _SURE.search(denied["between"])


def gather_reviews(workspace: Workspace, version: str) -> OwnReviews:
    """Return the reviews of a workspace's table of alerts that were scored by the weights of this version.

    Edits in the table count as soon as they are saved.  Raises AlertsError where there is no table.
    """
    alerts = read_alerts(workspace)
    scored = {one.alert_id: one for aoi in alerts["aoi"].unique() for one in read_scored(workspace.likeness(str(aoi)))}
    kept: list[tuple[str, str, bool, ScoredAlert]] = []
    left_out: Counter[str] = Counter()
    for row in alerts.itertuples():
        judged = judge_review(row.review, row.review_note, is_merged=bool(row.merged_into))
        own = scored.get(row.alert_id)
        if isinstance(judged, str):
            left_out[judged] += judged != NOT_DECIDED
        elif own is None:
            left_out["not scored"] += 1
        elif own.version != version:
            left_out["scored by other weights; the next scan scores them again"] += 1
        else:
            kept.append((row.alert_id, row.aoi, judged, own))
    return OwnReviews(
        tuple(one[0] for one in kept),
        np.array([one[1] for one in kept], str),
        np.array([one[2] for one in kept], bool),
        np.array([one[3].score for one in kept], np.float32),
        np.array([one[3].features for one in kept], np.float16),
        {reason: count for reason, count in left_out.items() if count},
    )
