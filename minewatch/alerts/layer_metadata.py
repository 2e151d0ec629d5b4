"""Writes credits into a GeoPackage: the description of a layer, and metadata that QGIS shows in the layer's properties.

The tables are those of GeoPackage's extension for metadata (OGC 12-128r18, annex F.8); QGIS reads its own metadata there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from xml.etree import ElementTree as ET

from minewatch.alerts.columns import AOIS, LAYER
from minewatch.alerts.credits import AlertCredits
from minewatch.alerts.geopackage import updating
from minewatch.core.errors import AlertsError

TITLES = {LAYER: "Alerts found by minewatch", AOIS: "Areas that minewatch watches"}
"""Layers that are described."""

STANDARD = "http://mrcc.com/qgis.dtd"
"""URI of QGIS's metadata."""

_EXTENSION = "http://www.geopackage.org/spec120/#extension_metadata"

_TABLES = (
    """CREATE TABLE IF NOT EXISTS gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL,
    definition TEXT NOT NULL, scope TEXT NOT NULL, CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name))""",
    """CREATE TABLE IF NOT EXISTS gpkg_metadata (id INTEGER CONSTRAINT m_pk PRIMARY KEY ASC NOT NULL,
    md_scope TEXT NOT NULL DEFAULT 'dataset', md_standard_uri TEXT NOT NULL, mime_type TEXT NOT NULL DEFAULT 'text/xml',
    metadata TEXT NOT NULL DEFAULT '')""",
    """CREATE TABLE IF NOT EXISTS gpkg_metadata_reference (reference_scope TEXT NOT NULL, table_name TEXT, column_name TEXT,
    row_id_value INTEGER, timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    md_file_id INTEGER NOT NULL, md_parent_id INTEGER,
    CONSTRAINT crmr_mfi_fk FOREIGN KEY (md_file_id) REFERENCES gpkg_metadata(id),
    CONSTRAINT crmr_mpi_fk FOREIGN KEY (md_parent_id) REFERENCES gpkg_metadata(id))""",
)


def render_qgis_metadata(title: str, credits_: AlertCredits) -> str:
    """Return a layer's metadata as QGIS has it, with the credits as its rights."""
    root = ET.Element("qgis")
    for name, text in (("type", "dataset"), ("title", title), ("abstract", credits_.text)):
        ET.SubElement(root, name).text = text
    links = ET.SubElement(root, "links")
    for url in credits_.licenses:
        ET.SubElement(links, "link", name="licence", type="WWW:LINK", url=url)
    for line in credits_.lines:
        ET.SubElement(root, "rights").text = line
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{ET.tostring(root, 'unicode')}\n"


def describe_layer(connection: sqlite3.Connection, layer: str, credits_: AlertCredits) -> None:
    """Write the credits of a layer, in place of earlier ones."""
    for table in _TABLES:
        connection.execute(table)
    for table in ("gpkg_metadata", "gpkg_metadata_reference"):
        entry = (table, "gpkg_metadata", _EXTENSION, "read-write")
        connection.execute("DELETE FROM gpkg_extensions WHERE table_name = ? AND extension_name = ?", entry[:2])
        connection.execute("INSERT INTO gpkg_extensions VALUES (?, NULL, ?, ?, ?)", entry)
    # What a person wrote into QGIS's form for metadata stays.
    known = connection.execute(
        "SELECT m.id, m.metadata FROM gpkg_metadata m JOIN gpkg_metadata_reference r ON r.md_file_id = m.id "
        "WHERE r.reference_scope = 'table' AND r.table_name = ? AND m.md_standard_uri = ?",
        (layer, STANDARD),
    ).fetchone()
    text = render_qgis_metadata(TITLES[layer], credits_)
    if known is None:
        cursor = connection.execute(
            "INSERT INTO gpkg_metadata (md_scope, md_standard_uri, mime_type, metadata) VALUES ('dataset', ?, 'text/xml', ?)",
            (STANDARD, text),
        )
        connection.execute(
            "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) VALUES ('table', ?, ?)",
            (layer, cursor.lastrowid),
        )
    elif f"<title>{TITLES[layer]}</title>" in known[1]:
        connection.execute("UPDATE gpkg_metadata SET metadata = ? WHERE id = ?", (text, known[0]))
    connection.execute("UPDATE gpkg_contents SET description = ? WHERE table_name = ?", (credits_.text, layer))


def describe_table(path: Path, credits_: AlertCredits) -> None:
    """Write the credits into the alerts table where they changed; where it is locked, the next scan does."""
    with contextlib.suppress(AlertsError, sqlite3.Error):
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            known = connection.execute("SELECT description FROM gpkg_contents WHERE table_name = ?", (LAYER,)).fetchone()
        if known != (credits_.text,):
            with updating(path) as connection:
                for layer in TITLES:
                    describe_layer(connection, layer, credits_)
