"""Observations in, change map out.

The science is plain numpy without input, output or clock; ``tiles``, ``checkpoint`` and the writers of rasters are its edge.
Gives the change of every pixel as episodes and rasters, what each look is like as a whole, and what could not be seen.
"""
