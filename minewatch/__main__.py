"""``python -m minewatch``, and the command ``minewatch``."""

import importlib

from minewatch.core.signals import exit_early, handle_signals


def main() -> None:
    """Run the command line; a signal that comes while its modules are loaded ends it as any other does."""
    with handle_signals():
        try:
            importlib.import_module("minewatch.cli").main(prog_name="minewatch")
        except KeyboardInterrupt as stop:
            exit_early(stop)


if __name__ == "__main__":
    main()
