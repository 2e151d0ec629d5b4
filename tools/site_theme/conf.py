"""Settings of Sphinx for the docs site; tools/site.py prepares its pages."""

import minewatch

project = "minewatch"
copyright = "the minewatch developers; contains modified Copernicus Sentinel data"  # noqa: A001 - Sphinx's own name
version = release = minewatch.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"minewatch {version}"
html_static_path = ["static"]
html_favicon = "static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
templates_path = ["templates"]
SIDEBAR = ("scroll-start", "brand", "search", "navigation", "versions", "scroll-end")
html_sidebars = {"**": [f"sidebar/{name}.html" for name in SIDEBAR]}
highlight_language = "none"
html_show_search_summary = False  # excerpts are fetched, which a browser allows no page on a disk
