"""Notebooks as pages of the docs site: their text, their code, and what the code gave when the site was made."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"

SECONDS = 600
"""For which a cell may run."""


def list_notebooks() -> list[Path]:
    """Return the notebooks, by name."""
    return sorted(FOLDER.glob("*.ipynb"))


def render_notebook(path: Path, *, run: bool) -> dict[str, str | bytes]:
    """Return file name to content: the notebook as a Markdown page, with what its code gives if it is run; pictures are PNG."""
    cells = run_notebook(path) if run else json.loads(path.read_text("utf-8"))["cells"]
    pictures: dict[str, str | bytes] = {}
    parts = [text for cell in cells for text in _render_cell(cell, path.stem, pictures)]
    return {f"{path.stem}.md": "\n\n".join(parts) + "\n", **pictures}


def run_notebook(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook after running it in an empty folder; raise CellExecutionError where one fails."""
    import nbformat  # noqa: PLC0415 - only pages with outputs need it
    from nbclient import NotebookClient  # noqa: PLC0415

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": folder}}).execute()
    return list(notebook.cells)


def _render_cell(cell: Mapping[str, Any], stem: str, pictures: dict[str, str | bytes]) -> Iterator[str]:
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield text
        return
    yield f"```python\n{text}\n```"
    for output in cell.get("outputs", ()):
        yield from _render_output(output, stem, pictures)


def _render_output(output: Mapping[str, Any], stem: str, pictures: dict[str, str | bytes]) -> Iterator[str]:
    """Yield what a cell printed, drew or gave; of several forms the one that a page shows best."""
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{stem}-{len(pictures) + 1}.png"
        pictures[name] = base64.b64decode(data["image/png"])
        yield f"![drawn by the cell above]({name})"
    elif "<table" in (table := "".join(data.get("text/html", ""))):
        yield f"````{{raw}} html\n<div style='overflow-x: auto'>{table}</div>\n````"  # as Markdown, a blank line would end it
    elif text := "".join(output.get("text", data.get("text/plain", ""))).rstrip():
        yield f"```text\n{text}\n```"
