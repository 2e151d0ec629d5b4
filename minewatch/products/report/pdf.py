"""Prints a page as PDF with WeasyPrint, which needs the Pango library of the system."""

from __future__ import annotations

import importlib
import logging

from minewatch.core.errors import ReportError, describe
from minewatch.core.text import show


def print_page(page: str) -> bytes:
    """Return a page as PDF; raises ReportError where WeasyPrint or Pango is missing, or printing fails."""
    try:
        weasyprint, urls = importlib.import_module("weasyprint"), importlib.import_module("weasyprint.urls")
    except ImportError as error:
        raise ReportError("no PDF: a package is not installed; pip install 'minewatch[pdf]'") from error
    except OSError as error:  # it loads Pango by name
        text = "no PDF: the Pango library cannot be loaded; install it (on Debian: libpango-1.0-0 libpangoft2-1.0-0)"
        raise ReportError(text) from error
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    try:
        document = weasyprint.HTML(string=page, url_fetcher=urls.URLFetcher(allowed_protocols=("data",)))
        # Tags tell a screen reader headings, tables and what images show.
        data: bytes = document.write_pdf(pdf_tags=True)
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ReportError(f"no PDF: printing failed: {show(describe(error))}; the HTML holds everything") from error
    return data
