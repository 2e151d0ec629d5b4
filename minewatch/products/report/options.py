"""What may be asked of reports, and of whatever else speaks their languages: words alone."""

from __future__ import annotations

from pathlib import Path

LANGUAGES = tuple(sorted(path.stem for path in (Path(__file__).parent / "texts").glob("*.toml")))
"""Those that have a file of texts."""

HTML, PDF = "html", "pdf"
FORMATS = (HTML, PDF)
"""The formats of a report."""
