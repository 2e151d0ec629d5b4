"""The ``minewatch.toml`` of a new workspace."""

TEMPLATE = """\
# A minewatch workspace.  Never write secrets here: settings name environment variables.

# Where scans look for scenes when --source is not given: a name that `minewatch source list` shows, the address of
# a STAC API, or the path of a static STAC catalogue, relative to this file.
source = {source}

# Where observations and change maps go when not below output: a folder, or an object store (extra s3).
# archive = "s3://bucket/prefix/archive"
# changes = "s3://bucket/prefix/changes"

# The Ed25519 key that signs evidence: the path of its file, best outside this folder.
# signing_key = "~/keys/evidence.pem"

# Who stamps evidence and logs with an independent time (RFC 3161); only hashes are sent there (extra evidence).
# [timestamps]
# url = "https://tsa.example.org/tsr"
# ca = "tsa-root.pem"       # the root certificate of the authority, which you got from it and checked

# Layers that every alert is compared with, one table each; check them with: minewatch context check
# Registers of mining rights are declared by: minewatch context add NAME FILE --preset pe-ingemmet
# [context.concessions]
# file = "context/concessions.gpkg"
# kind = "concession"       # or protected-area, indigenous-territory, administrative-unit, biome, river, road, airstrip …
# name = "HOLDER"           # the column with the name
# id = "CODE"               # the column with the code in the register
# valid_from = "GRANTED"    # the columns with the first and the last day of validity
# valid_to = "EXPIRES"
# credit = "(c) 2024 Example Registry"   # the credit that the layer's licence asks for; exports state it

# When the watch scans which areas, one table each; see the resulting times with: minewatch schedule show
# [schedules.nightly]
# areas = ["*"]             # names, or patterns with *
# cron = "30 2 * * *"       # minute, hour, day, month, weekday: UTC
# priority = 1              # 1 goes first
# source = "cdse"           # in place of the areas' own source

# [watch]
# jitter_minutes = 10       # each schedule begins up to this much later, so that many machines do not start at once
# heartbeat_variable = "MINEWATCH_HEARTBEAT"   # environment variable with an address that is called after each round

# Who gets which messages, one table for each recipient; check them with: minewatch notify test
# [notify.rangers]
# to_variable = "RANGERS_MAIL"            # the environment variable with the address, never the address
# areas = ["la-*"]
# events = ["confirmed", "grown", "scan-failed"]   # and provisional, closed, reviewed, unseen, reported-unseen
# when = "at-once"                        # or daily, weekly

# How large the archive may grow; minewatch prune removes what no result rests on.
# [prune]
# keep_gb = 50

# What `minewatch impact` assumes; minewatch impact --help says more
# [impact]
# mining = "alluvial"       # or other: minewatch does not see which kind of mining it is
# country = "PE"            # where no layer of kind administrative-unit names it
# depth_m = [2.0, 4.0]      # low and high, or one number for both

# Imagery of your own that is sharper than Sentinel-2: minewatch image AREA --date DATE --imagery sharp
# [imagery.sharp]
# url = "https://archive.example.com/stac"
# collection = "ortho-rgb"
# asset = "visual"                        # red, green and blue in one file; or assets = ["red", "green", "blue"]
# credit = "(c) 2024 Example Imaging"     # the credit that the licence asks for
# max_cloud = 20                          # per cent of the item; s3, signing and hosts as for sources

# Sources of your own, known by their names beside the built-in ones; check with: minewatch source check.  Keep tables at the end.
# [sources.ours]
# url = "https://stac.example.org/v1"     # or path = "scenes/catalog.json"
# collection = "sentinel-2-l2a"
# [sources.ours.s3]
# endpoint = "s3.example.org"
# region = "eu-1"
# key_variable = "OURS_ACCESS_KEY"        # names of environment variables, never keys
# secret_variable = "OURS_SECRET_KEY"
# [sources.ours.token]                    # a key that goes along with requests to its hosts
# variable = "OURS_TOKEN"
# header = "x-api-key"                    # or query = "access_token"
"""
"""Every table as a comment, with an example."""
