"""Runs minewatch from a checkout: ``python cli.py …`` equals ``minewatch …``."""

from minewatch.cli import main

if __name__ == "__main__":
    main(prog_name="minewatch")
