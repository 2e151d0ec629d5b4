"""Drills: minewatch is killed, limited and misled on purpose, and must end like an undisturbed run."""
