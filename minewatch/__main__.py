"""``python -m minewatch``, and the command ``minewatch``."""

import importlib
import os
import sys

from minewatch.stopping import NOTICE, find_code, listening


def main() -> None:
    """Run the command line; a signal that comes while its modules are loaded ends it as any other does."""
    with listening():
        try:
            importlib.import_module("minewatch.cli").main(prog_name="minewatch")
        except KeyboardInterrupt as stop:
            sys.stderr.write(f"{NOTICE}\n")
            sys.stderr.flush()
            os._exit(find_code(stop))


if __name__ == "__main__":
    main()
