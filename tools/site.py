"""Writes the docs site: site/VERSION for this version, and a first page that leads to every version there.

Its pages are those of docs/, with what lies at the top of the repository and the notebooks beside them.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import minewatch
from tools.notebook_pages import list_notebooks, render_notebook

ROOT = Path(__file__).resolve().parent.parent

THEME = Path(__file__).with_name("site_theme")
"""Sphinx's settings, and what is ours in its theme."""

OUTSIDE = {path.name: f"{path.stem.lower()}.md" for path in sorted(ROOT.glob("*.md"))}
"""Pages at the top of the repository, and their names in the site."""

CONTENTS: Mapping[str, tuple[str, ...]] = {
    "Begin": ("readme", "install", "first-month", "walkthroughs/analyst", "walkthroughs/investigator", "walkthroughs/gis-staff"),
    "Learn": tuple(f"courses/{name}" for name in ("analyst", "investigator", "gis-staff", "moot-court", "trainers-guide")),
    "Learn in Spanish, French, Portuguese": (
        *(f"courses/es/{name}" for name in ("analyst", "investigator", "gis-staff", "moot-court", "trainers-guide")),
        *(f"courses/{language}/{name}" for language in ("fr", "pt") for name in ("investigator", "moot-court", "trainers-guide")),
    ),
    "Watch": ("analysts", "catalogues", "year", "watch", "slow-lines", "notifications", "doctor", "prune", "clusters"),
    "Investigate": ("investigators", "reports", "bulletin", "images", "evidence", "handover", "timestamps"),
    "Review on a map": ("gis-staff", "review", "field", "context", "law", "witnesses", "likeness", "impact"),
    "How good, how fast": ("method", "accuracy", "ablation", "speed", "drills", "endurance"),
    "Look up": ("cli", "settings", "api", "contract", "architecture", "contributing", "changelog", "security"),
}
"""Chapter to its pages; notebooks and decisions come after them by themselves."""

LINK = re.compile(r"\]\(([^)\s]+)\)")

FIRST_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>minewatch: documentation</title>
<body style="font-family: sans-serif; max-width: 40em; margin: 2em auto; padding: 0 1em">
<h1>minewatch: documentation</h1>
<ul>
{links}
</ul>
</body></html>
"""


def write_site(folder: Path, *, run_notebooks: bool) -> Path:
    """Write the site of this version into a folder beside those of other versions; return its own folder.

    Raise CalledProcessError where a page, a link, an anchor or a picture is missing.
    """
    version = folder / minewatch.__version__
    with tempfile.TemporaryDirectory(prefix="site-") as temp:
        pages = Path(temp, "pages")
        shutil.copytree(ROOT / "docs", pages)
        write_pages(pages, run_notebooks=run_notebooks)
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", str(THEME), "-d", f"{temp}/read"]
        subprocess.run([*command, str(pages), f"{temp}/site"], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        shutil.rmtree(version, ignore_errors=True)
        shutil.copytree(f"{temp}/site", version, ignore=shutil.ignore_patterns(".buildinfo", "objects.inv"))
    names = sorted((path.parent.name for path in folder.glob("*/index.html")), key=_read_version, reverse=True)
    links = "\n".join(f'<li><a href="{name}/index.html">version {name}</a></li>' for name in names)
    (folder / "index.html").write_text(FIRST_PAGE.format(links=links), "utf-8")
    return version


def _read_version(name: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in name.split(".")]


def write_pages(pages: Path, *, run_notebooks: bool) -> None:
    """Complete a copy of docs/: pages from outside it, links that stay within the site, and the contents."""
    for name, page in OUTSIDE.items():
        (pages / page).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    (pages / "notebooks").mkdir()
    for path in list_notebooks():
        for name, content in render_notebook(path, run=run_notebooks).items():
            (pages / "notebooks" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    for path in pages.rglob("*.md"):
        page = path.relative_to(pages).as_posix()
        path.write_text(LINK.sub(lambda link, page=page: _turn(link, page), path.read_text("utf-8")), "utf-8")
    with (pages / "index.md").open("a", encoding="utf-8") as index:
        index.write("\n".join(_write_contents(pages)))


def _turn(link: re.Match[str], page: str) -> str:
    """Return a link of a page, which names a place in the repository, as one to the same in the site."""
    path, mark, anchor = link[1].partition("#")
    if not path or ":" in path:
        return link[0]
    place = _find_place(posixpath.normpath(posixpath.join(_find_folder(page), path)))
    return f"]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{mark}{anchor})"


def _find_folder(page: str) -> str:
    """Return the folder in the repository that a page of the site is made from."""
    if page in OUTSIDE.values():
        return ""
    return posixpath.dirname(page if page.startswith("notebooks/") else f"docs/{page}")


def _find_place(path: str) -> str:
    """Return where a file of the repository is in the site; a licence is told by the README."""
    if path.endswith(".ipynb"):
        return f"{path.removesuffix('.ipynb')}.md"
    return {**OUTSIDE, "LICENSE": OUTSIDE["README.md"]}.get(path, path.removeprefix("docs/"))


def _write_contents(pages: Path) -> Iterator[str]:
    rest = {title: sorted(f"{name}/{path.stem}" for path in (pages / name).glob("*.md")) for title, name in _REST.items()}
    for title, names in {**CONTENTS, **rest}.items():
        yield f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(names) + "\n```\n"


_REST = {"Notebooks": "notebooks", "Decisions": "decisions"}
"""Chapters that hold what a folder holds."""


if __name__ == "__main__":
    print(f"written: {write_site(ROOT / 'site', run_notebooks='--no-run' not in sys.argv) / 'index.html'}")  # noqa: T201
