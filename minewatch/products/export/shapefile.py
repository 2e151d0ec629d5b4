"""Writes a shapefile, for programs that read nothing else; zipped, since it is several files."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas as gpd
import pyogrio
import shapely

from minewatch.alerts.columns import ALERT_COLUMNS, LAYER
from minewatch.alerts.credits import AlertCredits
from minewatch.alerts.layer_metadata import TITLES
from minewatch.products.export.columns import NAMES, clean_text, column_data
from minewatch.products.export.options import ExportOptions
from minewatch.products.export.vector_formats import LONLAT

LONGEST_NAME, LONGEST_TEXT = 10, 254
"""Letters of a field's name, bytes of a value (ESRI shapefile; dBASE III)."""

SHORT_NAMES = {
    "confirmed_on": "confirmed",
    "ndvi_change": "ndvi_chg",
    "bsi_change": "bsi_chg",
    "last_normal": "last_norm",
    "scene_before": "scene_bef",
    "scene_after": "scene_aft",
    "merged_into": "merged_in",
    "review_note": "rev_note",
    "reviewed_by": "rev_by",
    "legal_status": "legal",
    "concession_ha": "conc_ha",
    "concession_pct": "conc_pct",
    "protected_area": "protected",
    "protected_ha": "prot_ha",
    "protected_pct": "prot_pct",
    "territory_ha": "terr_ha",
    "territory_pct": "terr_pct",
    "settlement_m": "settle_m",
    "legal_reason": "legal_why",
    "legal_basis": "leg_basis",
    "mine_reasons": "mine_why",
    "witness_first": "wit_first",
    "witness_lead": "wit_lead",
    "witness_basis": "wit_basis",
}
"""Column to the name of its field; other fields have the name of their column."""

FIELDS = {name: SHORT_NAMES.get(name, name) for name in NAMES}
"""Column to the name of its field, of all columns."""


def write_shapefile(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> Sequence[str]:
    """Write a zipped shapefile; return lines on the columns with other names, and on how many texts were cut."""
    columns = [column_data(alerts, column) for column in ALERT_COLUMNS]
    cut = 0
    for data, _ in columns:
        if data.dtype == object:
            for index, text in enumerate(data.tolist()):
                # The bytes that a field holds, cut between two characters.
                data[index] = text.encode()[:LONGEST_TEXT].decode(errors="ignore")
                cut += data[index] != text
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        target = Path(folder) / f"{LAYER}.shp"
        pyogrio.raw.write(
            target,
            geometry=shapely.to_wkb(alerts.geometry.to_numpy()),
            field_data=[data for data, _ in columns],
            field_mask=[missing for _, missing in columns],
            fields=list(FIELDS.values()),
            driver="ESRI Shapefile",
            geometry_type="MultiPolygon",
            crs=LONLAT,
            ENCODING="UTF-8",
        )
        with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
            for ending in (".shp", ".shx", ".dbf", ".prj", ".cpg"):
                archive.write(target.with_suffix(ending), f"{LAYER}{ending}")
            archive.writestr(f"{LAYER}.shp.xml", _render_fgdc(options.credits))
    renamed = ", ".join(f"{field} is {name}" for name, field in FIELDS.items() if field != name)
    notes = [f"shp: names of fields have at most {LONGEST_NAME} letters: {renamed}"]
    if cut:
        notes.append(f"shp: {cut} {'text was' if cut == 1 else 'texts were'} cut to {LONGEST_TEXT} bytes; take gpkg for all")
    return notes


def _render_fgdc(credits_: AlertCredits) -> str:
    """Return the metadata that ArcGIS and QGIS read beside a shapefile: FGDC's standard, 1.1 Citation, 1.8 Use, 1.11 Credit.

    QGIS shows the constraints on use as rights.
    """
    root = ET.Element("metadata")
    about = ET.SubElement(root, "idinfo")
    ET.SubElement(ET.SubElement(ET.SubElement(about, "citation"), "citeinfo"), "title").text = TITLES[LAYER]
    ET.SubElement(about, "useconst").text = clean_text("\n".join([*credits_.lines, *credits_.licenses]))
    ET.SubElement(about, "datacred").text = clean_text(credits_.text)
    return ET.tostring(root, "unicode", xml_declaration=True)
