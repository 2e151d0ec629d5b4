"""Observations in, change map out.

The science is plain numpy without input, output or clock; ``tiles``, ``checkpoint`` and the writers of rasters are its edge.
The results are the changes of every pixel as episodes and rasters, the quality of each look, and the coverage.
"""
