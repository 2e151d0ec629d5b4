mkdir -p court
minewatch alerts show south-20230620-eb6ce6 --json > court/1-when.json
minewatch explain south-20230620-eb6ce6 --all --json > court/2-looks.json
minewatch image south-20230620-eb6ce6 --date 2023-05-31 -o court
minewatch image south-20230620-eb6ce6 --date 2023-06-20 -o court
minewatch report south -o court
minewatch alerts show north-20231227-500ec6 --json > court/5-licence.json
minewatch alerts list --json > court/6-all.json
minewatch verify output/evidence/south-20230620-eb6ce6 --json > court/7-unchanged.json
minewatch verify output/evidence/south-20230620-eb6ce6 --recompute --fetch --json > court/8-again.json
minewatch scan south --until 2023-07-15 --into court/as-of
minewatch verify . --json > court/10-log.json
