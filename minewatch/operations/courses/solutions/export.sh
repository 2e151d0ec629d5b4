minewatch alerts export --format gpkg,kml,xlsx --confirmed
