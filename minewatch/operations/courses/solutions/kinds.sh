minewatch explain north-20231028-31e57e -o why/north-20231028-31e57e.png
minewatch image north-20231028-31e57e --date 2023-08-19
minewatch image north-20231028-31e57e --date 2024-07-31
minewatch alerts review north-20231028-31e57e --confirm --note "pit with ponds, growing; the register knows a title" --by "R. Quispe"
minewatch explain north-20231227-500ec6 -o why/north-20231227-500ec6.png
minewatch image north-20231227-500ec6 --date 2023-07-30
minewatch image north-20231227-500ec6 --date 2024-07-31
minewatch alerts review north-20231227-500ec6 --confirm --note "the pit of the south, across the border" --by "R. Quispe"
minewatch explain north-20240205-160cff -o why/north-20240205-160cff.png
minewatch image north-20240205-160cff --date 2023-10-28
minewatch image north-20240205-160cff --date 2024-07-31
minewatch explain south-20230531-2bb823 -o why/south-20230531-2bb823.png
minewatch image south-20230531-2bb823 --date 2023-04-21
minewatch image south-20230531-2bb823 --date 2023-06-30
minewatch alerts review south-20230531-2bb823 --dismiss "a farm: felled, burnt, green again in 2024" --by "R. Quispe"
minewatch explain south-20230620-eb6ce6 -o why/south-20230620-eb6ce6.png
minewatch image south-20230620-eb6ce6 --date 2023-05-31
minewatch image south-20230620-eb6ce6 --date 2024-07-31
minewatch alerts review south-20230620-eb6ce6 --confirm --note "pit with ponds, growing north" --by "R. Quispe"
