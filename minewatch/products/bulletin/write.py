"""Writes a bulletin: its page as HTML and PDF, its tables as CSV and XLSX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from minewatch.alerts.csv_file import find_metadata
from minewatch.core.errors import ReportError
from minewatch.core.files import publish_bytes
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.products.bulletin.bulletin_facts import BulletinFacts, BulletinRequest
from minewatch.products.bulletin.gather import gather_bulletin
from minewatch.products.bulletin.options import AREA, CSV, HTML, PDF, XLSX
from minewatch.products.bulletin.page import render_bulletin
from minewatch.products.bulletin.tables import (
    describe_rows,
    list_alert_rows,
    list_unit_rows,
    render_table,
    render_table_metadata,
    render_workbook,
)
from minewatch.products.evidence.custody_log import Handover
from minewatch.products.evidence.handover_log import log_handover
from minewatch.products.report.pdf import print_page


@dataclass(frozen=True)
class Bulletin:
    """What was written."""

    paths: tuple[Path, ...]
    """The files."""

    units: list[dict[str, Any]]
    """The rows of its units, as data."""

    known_to: str
    """The last day that its numbers rest on."""

    notes: tuple[str, ...]
    """Lines a person should read."""

    missing: tuple[str, ...] = ()
    """Areas that could not be counted, a line each."""

    fault: str = ""
    """Why the PDF is missing; '' where it is there, or was not asked for."""


def write_bulletin(
    workspace: Workspace,
    request: BulletinRequest,
    folder: Path | None = None,
    reporter: Reporter | None = None,
    handover: Handover | None = None,
) -> Bulletin:
    """Write a bulletin into a folder, ``output/bulletins`` by default; the custody log notes the files.

    Raises MinewatchError where there is nothing to tell, see :func:`gather_bulletin`; nothing is written then.
    """
    facts = gather_bulletin(workspace, request, reporter)
    stem, paths, fault = name_bulletin(request), [], ""
    for name, make in _list_files(facts, stem).items():
        path = (folder or workspace.bulletins) / name
        try:
            publish_bytes(path, make())
            paths.append(path)
        except ReportError as error:
            fault = str(error)
    ids = {alert.alert_id for unit in (facts.total, *facts.units) for alert in unit.alerts}
    names = ", ".join(path.name for path in paths)
    noted = log_handover(workspace, "reported", ids, paths, f"bulletin {names}", handover)
    rows = describe_rows(list_unit_rows(facts))
    return Bulletin(tuple(paths), rows, facts.known_to.isoformat(), (*facts.notes, *noted), facts.missing, fault)


def _list_files(facts: BulletinFacts, stem: str) -> Mapping[str, Callable[[], bytes]]:
    """Return the files of a bulletin: name to what makes it."""
    files: dict[str, Callable[[], bytes]] = {}
    formats = facts.request.formats
    if HTML in formats or PDF in formats:
        page = render_bulletin(facts)
        if HTML in formats:
            files[f"{stem}.html"] = page.encode
        if PDF in formats:
            files[f"{stem}.pdf"] = lambda: print_page(page)
    if CSV in formats:
        for name, rows in ((f"{stem}.csv", list_unit_rows(facts)), (f"{stem}-alerts.csv", list_alert_rows(facts))):
            files[name] = partial(render_table, rows)
            files[find_metadata(Path(name)).name] = partial(render_table_metadata, name, rows, facts)
    if XLSX in formats:
        files[f"{stem}.xlsx"] = lambda: render_workbook(facts)
    return files


def name_bulletin(request: BulletinRequest) -> str:
    """Return the name of a bulletin's files, without ending."""
    name = f"bulletin-{request.month.first:%Y-%m}"
    name += "" if request.by == AREA else f"-{request.by}"
    return name if request.language == "en" else f"{name}-{request.language}"
