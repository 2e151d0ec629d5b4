"""``python -m minewatch``."""

from minewatch.cli import main

main(prog_name="minewatch")
