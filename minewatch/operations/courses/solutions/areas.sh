minewatch aoi add north maps/north.geojson --monitor-from 2023-01-01
minewatch aoi add south --bbox -68.9092,-11.5089,-68.8909,-11.5009 --monitor-from 2023-01-01
