"""Drills: minewatch is killed, starved and misled on purpose, and must end where it ends undisturbed."""
