"""Sentinel-2-like scenes with known mines, for the demo, the tests and the benchmarks.

The series is a static STAC catalogue of COGs with the asset names of Earth Search and a truth.gpkg beside it.  One file per
role: ``landscape`` (land without mines), ``patches`` (mines and look-alikes), ``weather`` (dates, sky), ``scenes`` (pixels),
``stac`` (files), ``truth`` (polygons to score against), ``series`` (all of it).
"""
