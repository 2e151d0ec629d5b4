"""The bulletin of a month: what became of the ground of each area, concession, territory or administrative unit."""
