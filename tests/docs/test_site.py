"""The docs site: it is written without a warning, and whoever opens it from a disk, without a network, finds everything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import minewatch
from tests.helpers.places import ROOT
from tools.notebook_pages import render_notebook

for name in ("sphinx", "myst_parser", "furo"):
    pytest.importorskip(name)

PARTS = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
"""What a browser loads with a page."""

LINKS = re.compile(r"<a\b[^>]*?\bhref=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    code = f"from pathlib import Path; from tools.site import write_site; write_site(Path({str(folder)!r}), run_notebooks=False)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / minewatch.__version__


def list_targets(site: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    for page in site.rglob("*.html"):
        for target in pattern.findall(page.read_text("utf-8")):
            yield page, target


def test_every_page_of_the_docs_is_in_the_contents(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    pages |= {"readme.html", "changelog.html", "contributing.html", "security.html"}
    pages |= {f"notebooks/{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")}
    contents = set(LINKS.findall((site / "index.html").read_text("utf-8")))
    assert pages - contents == {"index.html"}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    assert [target for _, target in list_targets(site, PARTS) if urlsplit(target).scheme not in ("", "data")] == []


def test_every_link_leads_somewhere(site: Path) -> None:
    lost = set()
    for page, target in list_targets(site, LINKS):
        link = urlsplit(target)
        if not link.scheme and link.path and not (page.parent / unquote(link.path)).exists():
            lost.add((page.name, target))
    assert lost == set()


def test_words_can_be_looked_up(site: Path) -> None:
    assert "custodi" in (site / "searchindex.js").read_text("utf-8")


def test_what_a_notebook_gives_stays_whole(tmp_path: Path) -> None:
    """A blank line ends HTML within Markdown: tables keep theirs, and what is no table is shown as text."""
    table = {"text/html": ["<style>a</style>\n\n", "<table><tr><td>1</td></tr></table>"], "text/plain": ["1"]}
    other = {"text/html": ["<pre>Coordinates:\n\n  * y</pre>"], "text/plain": ["Coordinates:\n", "\n", "  * y"]}
    cell = {"cell_type": "code", "source": ["1"], "outputs": [{"data": table}, {"data": other}]}
    (tmp_path / "page.ipynb").write_text(json.dumps({"cells": [cell]}), "utf-8")
    page = str(render_notebook(tmp_path / "page.ipynb", run=False)["page.md"])
    assert re.search(r"^````\{raw\} html\n<div[^>]*><style>a</style>\n\n<table>.*</div>\n````$", page, re.MULTILINE)
    assert "```text\nCoordinates:\n\n  * y\n```" in page


def test_the_first_page_leads_to_this_version(site: Path) -> None:
    assert f'href="{minewatch.__version__}/index.html"' in (site.parent / "index.html").read_text("utf-8")
