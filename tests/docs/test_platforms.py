"""What only reads, exports and verifies works where Linux's locks and tables of users are missing, as on Windows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minewatch.core import file_lock
from minewatch.core.file_lock import NoLocksError, lock_handle, lock_record
from tests.helpers.places import ROOT
from tests.helpers.small import make_scanned

MISSING = ("fcntl", "pwd", "grp", "resource", "termios")
"""Modules of Python that only Unix has."""

PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
from click.testing import CliRunner
from minewatch.cli import main
for line in sys.argv[2:]:
    result = CliRunner().invoke(main, line.split(), catch_exceptions=False)
    print(result.exit_code, *[result.output] * bool(result.exit_code))
"""


def test_reading_exporting_and_verifying_need_no_locks(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path / "watch"
    shutil.copytree(make_scanned(tmp_path_factory)[0].root, root)
    lines = [
        f"-w {root} alerts list",
        f"-w {root} alerts export --format csv,geojson,xlsx,kml,gpkg -o {tmp_path}/out",
        f"verify {root}",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LOGNAME": "ana"}
    command = [sys.executable, "-c", PROGRAM, ",".join(MISSING), *lines]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:-1] == ["0", "0", "0"]


def test_what_needs_a_lock_is_refused_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "fcntl", None)
    path = tmp_path / "log"
    with path.open("w") as file:
        lock_handle(file.fileno(), path, shared=True)
        with pytest.raises(NoLocksError, match="use Linux"):
            lock_handle(file.fileno(), path)
        with pytest.raises(OSError, match="use Linux"):
            lock_record(file.fileno())
