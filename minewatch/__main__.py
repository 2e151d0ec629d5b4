"""``python -m minewatch``, and the command ``minewatch``."""

import importlib

from minewatch.core.signals import end, listening


def main() -> None:
    """Run the command line; a signal that comes while its modules are loaded ends it as any other does."""
    with listening():
        try:
            importlib.import_module("minewatch.cli").main(prog_name="minewatch")
        except KeyboardInterrupt as stop:
            end(stop)


if __name__ == "__main__":
    main()
