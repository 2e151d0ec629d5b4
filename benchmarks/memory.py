"""How much memory a process and its children hold, as the system says."""

from __future__ import annotations

from pathlib import Path


def measure_tree(pid: int) -> int:
    """Return the bytes that a process and all below it hold; pages that several share count once."""
    members = list_tree(pid)
    return _read_resident(pid) if len(members) == 1 else sum(map(_read_share, members))


def list_tree(pid: int) -> list[int]:
    """List a process and all its descendants."""
    found = [pid]
    for member in found:
        for path in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += [int(child) for child in path.read_text().split()]
            except OSError:  # it has ended
                continue
    return found


def _read_resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0


def _read_share(pid: int) -> int:
    return _read_kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def read_peak() -> int:
    """Return the most bytes that this process has held since it began its program."""
    return _read_kilobytes(Path("/proc/self/status"), "VmHWM:")


def _read_kilobytes(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
