minewatch qgis
minewatch scan --until 2024-12-31
