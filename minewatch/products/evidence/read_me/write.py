"""Writes the page: as PDF where that can be made, else as HTML."""

from __future__ import annotations

from collections.abc import Mapping

from minewatch.core.errors import MinewatchError, ReportError, describe
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.read_me.facts import MALFORMED, PackContent, gather_facts
from minewatch.products.evidence.read_me.page import render_page
from minewatch.products.report.options import HTML, PDF
from minewatch.products.report.pdf import print_page

READ_ME = "READ-ME-FIRST"
"""Name of the page in a pack, without ending."""


def write_read_me(workspace: Workspace, content: PackContent, language: str) -> tuple[Mapping[str, bytes], tuple[str, ...]]:
    """Return the page by its file's name, and lines that a person should read.

    Evidence that cannot be shown can still be handed over: then there is no page, and a line says so.
    """
    try:
        page = render_page(gather_facts(workspace, content), language)
    except (MinewatchError, *MALFORMED) as error:
        return {}, (f"the pack has no {READ_ME}: {describe(error)}",)
    try:
        return {f"{READ_ME}.{PDF}": print_page(page)}, ()
    except ReportError as error:
        return {f"{READ_ME}.{HTML}": page.encode()}, (f"{READ_ME} is HTML: {describe(error)}",)
