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

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"

_OWN = f"{_DOCTYPE}<qgis><type>"
"""How metadata that were written here begin; QGIS adds its version and line breaks when a person saves its form."""

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
    return f"{_DOCTYPE}{ET.tostring(root, 'unicode')}\n"


def describe_layer(connection: sqlite3.Connection, layer: str, credits_: AlertCredits) -> None:
    """Write the credits of a layer, in place of earlier ones."""
    for table in _TABLES:
        connection.execute(table)
    for table in ("gpkg_metadata", "gpkg_metadata_reference"):
        entry = (table, "gpkg_metadata", _EXTENSION, "read-write")
        connection.execute("DELETE FROM gpkg_extensions WHERE table_name = ? AND extension_name = ?", entry[:2])
        connection.execute("INSERT INTO gpkg_extensions VALUES (?, NULL, ?, ?, ?)", entry)
    _write_qgis_metadata(connection, layer, render_qgis_metadata(TITLES[layer], credits_))
    connection.execute("UPDATE gpkg_contents SET description = ? WHERE table_name = ?", (credits_.text, layer))


def _write_qgis_metadata(connection: sqlite3.Connection, layer: str, text: str) -> None:
    """Write a layer's metadata, unless a person wrote them."""
    known = connection.execute(
        "SELECT m.id, m.metadata FROM gpkg_metadata m JOIN gpkg_metadata_reference r ON r.md_file_id = m.id "
        "WHERE r.reference_scope = 'table' AND r.table_name = ? AND m.md_standard_uri = ?",
        (layer, STANDARD),
    ).fetchone()
    if known is None:
        values = "('dataset', ?, 'text/xml', ?)"
        sql = f"INSERT INTO gpkg_metadata (md_scope, md_standard_uri, mime_type, metadata) VALUES {values}"
        reference = connection.execute(sql, (STANDARD, text)).lastrowid
        connection.execute(
            "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) VALUES ('table', ?, ?)",
            (layer, reference),
        )
    elif str(known[1]).startswith(_OWN):
        connection.execute("UPDATE gpkg_metadata SET metadata = ? WHERE id = ?", (text, known[0]))


def describe_table(path: Path, credits_: AlertCredits) -> None:
    """Write the credits into the alerts table where they changed; where it is locked, the next scan does."""
    with contextlib.suppress(AlertsError, sqlite3.Error):
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            known = connection.execute("SELECT description FROM gpkg_contents WHERE table_name = ?", (LAYER,)).fetchone()
        if known != (credits_.text,):
            with updating(path) as connection:
                for layer in TITLES:
                    describe_layer(connection, layer, credits_)
