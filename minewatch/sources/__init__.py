"""Catalogue in, ``Scene`` out: hides the differences between providers of Sentinel-2.

Provides searches of STAC APIs and static catalogues, scenes grouped by datatake, their reflectance offsets, and the check of
a source.  All documents are untrusted input and are validated here.
"""
