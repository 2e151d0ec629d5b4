minewatch aoi add real maps/real.geojson --monitor-from 2018-01-01 --grid-from 'REAL'
minewatch scan real --source 'REAL' --until 2020-12-31
minewatch alerts list --aoi real
