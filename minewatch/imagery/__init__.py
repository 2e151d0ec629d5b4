"""Imagery of the user's own that is sharper than Sentinel-2: which item shows a frame best, and its pixels."""

from minewatch.imagery.candidates import Candidate, list_candidates, rank_candidate
from minewatch.imagery.choice import Photo, find_photo

__all__ = ["Candidate", "Photo", "find_photo", "list_candidates", "rank_candidate"]
