"""Whether two workspaces hold the same results: ``python -m benchmarks.same OLD_WORKSPACE NEW_WORKSPACE``.

Scan the same scenes with the code before and after a change, from the command line and with a fixed ``--until``, then compare.
Only files are read and nothing of minewatch is imported, so that it judges any two versions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyogrio.raw
import rasterio

SHOWN = 20
"""Differences that are printed."""

FREE = {
    "runs of the table": ("run_id", "started", "version"),
    "other tables": ("run_id", "decided_at", "found_at", "made_after"),
    "run records": ("run_id", "record", "started", "seconds", "version", "source"),
    "archive items": ("source", "minewatch:checksum"),
    "evidence manifests": ("run_id", "made", "source", "name", "root", "sha256", "size", "extends", "previous"),
    "alert.geojson of evidence": ("run_id",),
    "decisions": ("decided", "found_at", "made_after"),
}
"""What may differ between two runs of the same code: names and times of runs, hashes of files that hold them, versions, and where
the catalogue lies."""

TOLD = ("notes", "reason", "offset_reason", "text")
"""Sentences for people in records; another wording is a note, no difference."""

VERSIONED = ("manifest.json", "manifest.sig", "method.json", "alert.geojson")
"""Files of evidence that name the run or the software; the others are equal byte by byte."""


class Comparison:
    """What differs between two workspaces."""

    def __init__(self, old: Path, new: Path) -> None:
        self.old, self.new = old / "output", new / "output"
        self.differences: list[str] = []
        self.notes: list[str] = []
        self.counts: dict[str, int] = {}

    def run(self) -> None:
        """Compare everything that a scan writes."""
        for root in (self.old, self.new):
            if not (root / "alerts.gpkg").is_file():
                self.differences.append(f"{root}: has no alerts.gpkg; is its parent a workspace that was scanned?")
                return
        for name in ("changes", "archive", "evidence"):
            self.names(name)
        self.rasters("changes", "change maps")
        self.rasters("archive", "archive rasters")
        self.tables()
        self.files("alerts.csv", (self.old / "alerts.csv").read_bytes(), (self.new / "alerts.csv").read_bytes())
        self.records()
        self.items()
        self.evidence()
        self.decisions()
        self.custody()

    # --- one kind of file each ---------------------------------------------------------------------------------------

    def names(self, folder: str) -> None:
        """Compare which files there are; rasters of the archive are named by their content."""
        old, new = (set(_list(root / folder)) for root in (self.old, self.new))
        self.differences += [f"{folder}/{name}: only in the old one" for name in sorted(old - new)]
        self.differences += [f"{folder}/{name}: only in the new one" for name in sorted(new - old)]

    def rasters(self, folder: str, title: str) -> None:
        """Compare pixels and places byte by byte; a file whose pixels agree may say another version in its tags."""
        for name, old, new in self.pairs(folder, ".tif"):
            self.count(title)
            if _hash(old) == _hash(new):
                continue
            differing = [what for what, (one, other) in _zip(_describe_raster(old), _describe_raster(new)) if one != other]
            tags = sorted(key for key, (one, other) in _zip(*map(_read_tags, (old, new))) if one != other)
            if differing or folder == "archive":
                self.differences.append(f"{folder}/{name}: {', '.join(differing) or 'the bytes of the file'} differ")
            else:
                self.notes.append(f"{folder}/{name}: pixels equal, file bytes not (tags: {', '.join(tags) or 'equal'})")

    def tables(self) -> None:
        """Compare the tables cell by cell."""
        old, new = (dict(pyogrio.list_layers(root / "alerts.gpkg").tolist()) for root in (self.old, self.new))
        for layer in sorted({*old, *new}):
            if layer not in new:
                self.differences.append(f"alerts.gpkg: layer {layer} is missing")
            elif layer not in old:
                self.notes.append(f"alerts.gpkg: layer {layer} is new")
            elif not layer.startswith("layer_styles"):
                self.table(layer)

    def table(self, layer: str) -> None:
        """Compare one layer; columns that were added are a note."""
        old, new = (_read_layer(root / "alerts.gpkg", layer) for root in (self.old, self.new))
        self.count(f"rows of {layer}", len(old))
        if added := [name for name in new.columns if name not in old]:
            self.notes.append(f"alerts.gpkg, {layer}: more columns: {', '.join(added)}")
        if len(old) != len(new):
            self.differences.append(f"alerts.gpkg, {layer}: {len(old)} rows before, {len(new)} after")
        for name in old.columns:
            if name not in new:
                self.differences.append(f"alerts.gpkg, {layer}: column {name} is missing")
                continue
            for row, (before, after) in enumerate(zip(old[name], new[name], strict=False)):
                if _plain(before) != _plain(after):
                    who = f" ({old['alert_id'].iloc[row]})" if "alert_id" in old else ""
                    where = f"alerts.gpkg, {layer}, row {row + 1}{who}, {name}"
                    self.differences.append(f"{where}: {_short(before)} before, {_short(after)} after")

    def records(self) -> None:
        """Compare what the scans say they did, in their order: events, scenes, coverage."""
        old, new = (sorted(_read_all(root / "runs", ".json"), key=_started) for root in (self.old, self.new))
        self.count("run records", len(old))
        if len(old) != len(new):
            self.differences.append(f"runs: {len(old)} before, {len(new)} after")
        for number, (before, after) in enumerate(zip(old, new, strict=False), 1):
            self.values(f"runs, scan {number}", before, after, FREE["run records"])

    def items(self) -> None:
        """Compare what the archive says of each observation."""
        for name, old, new in self.pairs("archive", ".json"):
            self.count("archive items")
            self.values(f"archive/{name}", _read_json(old), _read_json(new), FREE["archive items"])

    def evidence(self) -> None:
        """Compare the files of evidence; an observation's item in it is one of the archive's."""
        for name, old, new in self.pairs("evidence", ""):
            self.count("files of evidence")
            file = Path(name).name
            if file == "manifest.json":
                self.values(f"evidence/{name}", _read_json(old), _read_json(new), FREE["evidence manifests"])
            elif file == "alert.geojson":
                self.values(f"evidence/{name}", _read_json(old), _read_json(new), FREE["alert.geojson of evidence"])
            elif Path(name).parent.name == "observations" and file.endswith(".json"):
                self.values(f"evidence/{name}", _read_json(old), _read_json(new), FREE["archive items"])
            elif file not in VERSIONED:
                self.files(f"evidence/{name}", old.read_bytes(), new.read_bytes())

    def decisions(self) -> None:
        """Compare what people decided."""
        old, new = (_read_lines(root / "decisions.jsonl") for root in (self.old, self.new))
        self.count("decisions", len(old))
        self.values("decisions.jsonl", old, new, FREE["decisions"])

    def custody(self) -> None:
        """Compare who did what with which evidence: the hashes of manifests differ with the names of runs."""
        old, new = (
            [(line["action"], line["alert_id"]) for line in _read_lines(root / "custody.jsonl")] for root in (self.old, self.new)
        )
        self.count("lines of custody", len(old))
        self.values("custody.jsonl", old, new, ())

    # --- tools -------------------------------------------------------------------------------------------------------

    def pairs(self, folder: str, ending: str) -> Iterator[tuple[str, Path, Path]]:
        """Return the files that both have."""
        both = set(_list(self.old / folder)) & set(_list(self.new / folder))
        yield from ((n, self.old / folder / n, self.new / folder / n) for n in sorted(both) if n.endswith(ending))

    def files(self, name: str, old: bytes, new: bytes) -> None:
        """Compare bytes, and name the first line that differs."""
        if old != new:
            lines = enumerate(zip(old.splitlines(), new.splitlines(), strict=False), 1)
            first = next((f"line {n}: {_short(a)} before, {_short(b)} after" for n, (a, b) in lines if a != b), "its length")
            self.differences.append(f"{name}: {first}")

    def values(self, where: str, old: Any, new: Any, free: Sequence[str]) -> None:
        """Compare JSON; keys that were added are a note, as are other words for people."""
        if isinstance(old, dict) and isinstance(new, dict):
            for key in [*old, *(key for key in new if key not in old)]:
                if key in free:
                    continue
                if key not in old:
                    self.notes.append(f"{where}: {key} is new")
                elif key not in new:
                    self.differences.append(f"{where}: {key} is missing")
                elif key in TOLD:
                    self.notes += [f"{where}: other words in {key}"] if old[key] != new[key] else []
                else:
                    self.values(f"{where}, {key}", old[key], new[key], free)
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            for number, (before, after) in enumerate(zip(old, new, strict=True)):
                self.values(f"{where}[{number}]", before, after, free)
        elif old != new:
            self.differences.append(f"{where}: {_short(old)} before, {_short(new)} after")

    def count(self, what: str, number: int = 1) -> None:
        """Count what was compared."""
        self.counts[what] = self.counts.get(what, 0) + number


def _list(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _describe_raster(path: Path) -> dict[str, Any]:
    with rasterio.open(path) as raster:
        place = {"CRS": raster.crs, "transform": raster.transform, "type": raster.dtypes, "no-data value": raster.nodata}
        return place | {"shape": raster.shape, "pixels": hashlib.sha256(raster.read().tobytes()).hexdigest()}


def _read_tags(path: Path) -> dict[str, str]:
    with rasterio.open(path) as raster:
        tags: dict[str, str] = raster.tags()
        return tags


def _zip(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    yield from ((key, (old.get(key), new.get(key))) for key in sorted({*old, *new}))


def _read_layer(path: Path, layer: str) -> pd.DataFrame:
    """Read a layer, in order of the file, or of area and id; geometry as WKB."""
    facts, _, geometry, fields = pyogrio.raw.read(path, layer=layer, datetime_as_string=True)
    cells = zip(facts["fields"], fields, strict=True)
    frame = pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in cells})
    if geometry is not None:
        frame["geometry"] = pd.Series(list(geometry), dtype=object)
    if layer == "alerts":
        frame = frame.sort_values(["aoi", "alert_id"])
    free = FREE["runs of the table"] if layer == "runs" else FREE["other tables"]
    return frame.drop(columns=list(free), errors="ignore")


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value


def _short(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) and not value.isascii() else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _read_all(folder: Path, ending: str) -> list[Any]:
    return [_read_json(folder / name) for name in _list(folder) if name.endswith(ending)]


def _read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def _started(record: Mapping[str, str]) -> str:
    return record["started"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two workspaces, print the first differences, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD_WORKSPACE")
    parser.add_argument("new", type=Path, metavar="NEW_WORKSPACE")
    chosen = parser.parse_args(arguments)
    comparison = Comparison(chosen.old, chosen.new)
    comparison.run()
    print("compared: " + ", ".join(f"{number} {what}" for what, number in comparison.counts.items()))
    print("left aside: " + "; ".join(f"{what}: {', '.join(names)}" for what, names in FREE.items()))
    for note in comparison.notes[:SHOWN]:
        print(f"note: {note}")
    for difference in comparison.differences[:SHOWN]:
        print(f"DIFFERENT: {difference}")
    left = max(0, len(comparison.notes) - SHOWN), max(0, len(comparison.differences) - SHOWN)
    print(
        f"{len(comparison.differences)} differences, {len(comparison.notes)} notes"
        + (f" (not shown: {left})" if any(left) else "")
    )
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())
