"""Catalogue in, ``Scene`` out: what differs between providers of Sentinel-2 ends here.

Gives searches of STAC APIs and static catalogues, scenes grouped by datatake, the reflectance offset of each, and the check
of a source.  Documents of strangers are hostile until read here.
"""
