"""Writes a workbook (XLSX, ECMA-376): one sheet, the header fixed, texts as texts whatever they look like.

GDAL's driver leaves the header out where there are no rows.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from minewatch.export.cells import clean_text

LONGEST_CELL = 32_767
"""Letters that a cell can hold."""

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_WIDTH = "16"
_BOLD = "1"

_PARTS = {
    "[Content_Types].xml": f"""<Types xmlns="{_PACKAGE}/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/>
<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>
</Types>""",
    "_rels/.rels": f"""<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>
</Relationships>""",
    "xl/_rels/workbook.xml.rels": f"""<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>
<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/>
</Relationships>""",
    "xl/styles.xml": f"""<styleSheet xmlns="{_MAIN}">
<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>
<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>
<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>
<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>
<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>
</styleSheet>""",
}
"""What every workbook has."""

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can name: the same table gives the same bytes."""


def write_workbook(path: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> None:
    """Write a workbook with one sheet; None is an empty cell."""
    book = f"""<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets><sheet name="{name}" sheetId="1" r:id="rId1"/></sheets>
</workbook>"""
    parts = {**_PARTS, "xl/workbook.xml": book, "xl/worksheets/sheet1.xml": _render_sheet(header, rows)}
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
        for part, text in parts.items():
            archive.writestr(zipfile.ZipInfo(part, _EPOCH), _HEAD + text, zipfile.ZIP_DEFLATED)


def _render_sheet(header: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> str:
    sheet = ET.Element("worksheet", xmlns=_MAIN)
    view = ET.SubElement(ET.SubElement(sheet, "sheetViews"), "sheetView", workbookViewId="0")
    ET.SubElement(view, "pane", ySplit="1", topLeftCell="A2", activePane="bottomLeft", state="frozen")
    ET.SubElement(ET.SubElement(sheet, "cols"), "col", min="1", max=str(len(header)), width=_WIDTH, customWidth="1")
    data = ET.SubElement(sheet, "sheetData")
    _add_row(data, 1, header, style=_BOLD)
    count = 1
    for count, row in enumerate(rows, 2):
        _add_row(data, count, row)
    ET.SubElement(sheet, "autoFilter", ref=f"A1:{name_cell(len(header), count)}")
    return ET.tostring(sheet, encoding="unicode")


def _add_row(data: ET.Element, number: int, cells: Sequence[str | float | None], style: str = "0") -> None:
    row = ET.SubElement(data, "row", r=str(number))
    for column, value in enumerate(cells, 1):
        if value is None or value == "":
            continue
        cell = ET.SubElement(row, "c", r=name_cell(column, number), s=style)
        if isinstance(value, str):
            cell.set("t", "inlineStr")
            text = ET.SubElement(ET.SubElement(cell, "is"), "t", {"xml:space": "preserve"})
            text.text = clean_text(value)[:LONGEST_CELL]
        else:
            ET.SubElement(cell, "v").text = repr(value)


def name_cell(column: int, row: int) -> str:
    """Name a cell as spreadsheets do: A1, counted from 1."""
    letters = ""
    while column:
        column, digit = divmod(column - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return f"{letters}{row}"
