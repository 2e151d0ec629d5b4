"""Writes a report: its page as HTML, and as PDF where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minewatch.core.errors import ReportError
from minewatch.core.files import publish_bytes
from minewatch.core.progress import Reporter
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import Handover
from minewatch.products.evidence.handover_log import log_handover
from minewatch.products.report.gather_facts import RECORD, gather_facts, record_report
from minewatch.products.report.html_page import render_page
from minewatch.products.report.options import FORMATS, HTML, PDF
from minewatch.products.report.pdf import print_page
from minewatch.products.report.report_facts import ReportFacts, ReportRequest


@dataclass(frozen=True)
class Report:
    """What was written."""

    paths: tuple[Path, ...]
    """The files."""

    alerts: int
    """Number of alerts in its table."""

    notes: tuple[str, ...]
    """Lines a person should read."""

    fault: str = ""
    """Why the PDF is missing; '' where it is there, or was not asked for."""

    missing_images: str = ""
    """How many images are missing that should be there, and why; '' where none is."""


def write_report(
    workspace: Workspace,
    request: ReportRequest,
    folder: Path | None = None,
    reporter: Reporter | None = None,
    handover: Handover | None = None,
) -> Report:
    """Write a report into a folder, ``output/reports`` by default; the HTML is written even where the PDF fails.

    The custody log notes the files, and for whom and why they were made (``handover``).
    Raises MinewatchError where area, alert or table are missing; nothing is written then.
    """
    facts = gather_facts(workspace, request, reporter)
    page = render_page(facts)
    stem = (folder or workspace.reports) / name_report(facts)
    makers: dict[str, Callable[[], bytes]] = {HTML: page.encode, PDF: lambda: print_page(page)}
    paths, fault = [], ""
    for kind in FORMATS:
        if kind == HTML or kind in request.formats:
            path = stem.with_name(f"{stem.name}.{kind}")
            try:
                publish_bytes(path, makers[kind]())
                paths.append(path)
            except ReportError as error:
                fault = str(error)
    record_report(workspace.reports / RECORD, facts)
    names = ", ".join(path.name for path in paths)
    ids = [str(alert.row["alert_id"]) for alert in facts.alerts]
    noted = log_handover(workspace, "reported", ids, paths, f"report {names} on {facts.aoi.name}", handover)
    return Report(tuple(paths), len(facts.alerts), (*facts.notes, *noted), fault, _explain_missing(facts))


def _explain_missing(facts: ReportFacts) -> str:
    """Return a line on the images that the report should have; '' where it has them."""
    if not facts.missing_images:
        return ""
    count, reason = count_of(facts.missing_images, "image"), facts.reasons[0] if facts.reasons else "unknown"
    return f"{count} missing, which the report says in the place of each: {reason}; --source names another source"


def name_report(facts: ReportFacts) -> str:
    """Return the name of a report's files, without ending."""
    request = facts.request
    name = str(facts.alerts[0].row["alert_id"]) if request.alert_id else f"{facts.aoi.name}-{facts.as_of}"
    if request.since or request.until:
        name += f"-{request.since or facts.monitor_from}-to-{request.until or facts.as_of}"
    return name if request.language == "en" else f"{name}-{request.language}"
