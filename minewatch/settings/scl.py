"""Classes of Sen2Cor's scene classification (SCL)."""

NO_DATA, DEFECTIVE, DARK, SHADOW, VEGETATION, BARE, WATER, UNCLASSIFIED, LIKELY_CLOUD, CLOUD, CIRRUS, SNOW = CLASSES = range(12)
"""Numbers as in the Sentinel-2 Products Specification Document; CLASSES are all."""

CLEAR_CLASSES = (VEGETATION, BARE, WATER, UNCLASSIFIED)
"""Clear by default; fresh tailings are often unclassified."""

CLOUD_CLASSES = (LIKELY_CLOUD, CLOUD, CIRRUS)
"""Cloud of medium and high probability, thin cirrus."""
