minewatch context add register maps/register.geojson --preset generic --column name=HOLDER --column id=CODE --column applied=ASKED --column valid_from=GRANTED --column valid_to=EXPIRES --titles TYPE=Title --applications TYPE=Application --exploration TYPE=Exploration --as-of 2024-12-31
cat >> minewatch.toml <<'END'

[context.reserve]
file = "maps/reserve.geojson"
kind = "protected-area"
name = "NAME"

[context.states]
file = "maps/states.geojson"
kind = "administrative-unit"
name = "NAME"

[context.river]
file = "maps/river.geojson"
kind = "river"
name = "NAME"
END
minewatch context check
minewatch context refresh
