"""``python -m minewatch``, and the command ``minewatch``."""

import gc
import importlib
import io
import locale
import os
import sys

from minewatch.core.cache_folders import set_matplotlib_folder
from minewatch.core.signals import exit_early, handle_signals

GARBAGE_FROM = 50_000
"""New objects after which Python looks for garbage among them: modules are loaded in three quarters of the time."""


def main() -> None:
    """Run the command line; a signal that comes while its modules are loaded ends it as any other does."""
    _use_utf8()
    gc.set_threshold(GARBAGE_FROM)
    set_matplotlib_folder()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them in all packages takes time, and none is used
    with handle_signals():
        try:
            importlib.import_module("minewatch.cli").main(prog_name="minewatch")
        except KeyboardInterrupt as stop:
            exit_early(stop)


def _use_utf8() -> None:
    """Start Python anew in its UTF-8 mode where the locale has another encoding, as under cron and in containers.

    Names of files are UTF-8 wherever the folder was made, and libraries take them so; the process stays the same.  What
    cannot be written to a stream all the same (PYTHONIOENCODING) is written as an escape.
    """
    arguments = sys.orig_argv[1:]
    if not sys.flags.utf8_mode and locale.getencoding().lower() not in ("utf-8", "utf8") and sys.executable and arguments:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *arguments])  # noqa: S606  the same program again
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
