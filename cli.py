"""Runs minewatch from a checkout: ``python cli.py …`` equals ``minewatch …``."""

from minewatch.__main__ import main

if __name__ == "__main__":
    main()
