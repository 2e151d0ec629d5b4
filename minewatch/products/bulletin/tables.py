"""The tables of a bulletin: units and their alerts as rows, as CSV for programs and as a workbook for people."""

from __future__ import annotations

import csv
import datetime as dt
import importlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from minewatch.alerts.cells import safe_cell
from minewatch.alerts.columns import Column
from minewatch.alerts.context.terms import LEGAL
from minewatch.alerts.csv_file import render_metadata
from minewatch.products.bulletin.bulletin_facts import (
    BARE,
    GROUNDS,
    MONTH,
    NEW,
    SEEN,
    SPANS,
    BulletinFacts,
    Count,
    Tally,
    UnitAlert,
    UnitFacts,
)
from minewatch.products.bulletin.wording import (
    COUNTS,
    WORDS,
    describe_alert,
    name_span,
    name_unit,
    read_bulletin_texts,
)
from minewatch.products.export.spreadsheets import CREDITS, WORKBOOK_OPTIONS, workbook_cell, write_credits
from minewatch.products.report.law_words import name_legal_status
from minewatch.products.report.texts import Texts

Row = dict[str, Any]
"""Column to cell; None where nothing is known."""

SHEET_NAME = 31
"""Letters that the name of a sheet can have."""


# --- rows ------------------------------------------------------------------------------------------------------------


def list_unit_rows(facts: BulletinFacts) -> list[Row]:
    """Return a row for each unit; counts that could not be seen are None, and ``month_seen`` says why."""
    return [_make_unit_row(unit, facts) for unit in facts.units]


def _make_unit_row(unit: UnitFacts, facts: BulletinFacts) -> Row:
    month = facts.request.month
    row: Row = {
        "month": f"{month.first:%Y-%m}",
        "unit": unit.name,
        "unit_id": unit.id,
        "layer": unit.layer,
        "standing": unit.standing,
        "outside_any": int(unit.is_outside),
        "km2": round(unit.km2, 4),
        "watched_share": round(unit.watched, 4),
        "known_to": min(month.last, unit.as_of[1]) if unit.as_of else None,
        "table_as_of": unit.as_of[1] if unit.as_of else None,
    }
    for span in SPANS:
        row |= _list_tally_cells(span, unit.tallies[span])
    for kind in (NEW, BARE):
        for status in LEGAL:
            row[f"{kind}_{status}"] = _count_of_month(unit, unit.legal[kind].get(status, Count()).alerts, kind)
    return row | {f"likeness_{key}": _count_of_month(unit, count, BARE) for key, count in _list_likeness(unit).items()}


def _list_likeness(unit: UnitFacts) -> dict[str, int]:
    return {"scored": unit.scored, "like": unit.like}


def _count_of_month(unit: UnitFacts, alerts: int, kind: str) -> int | None:
    """Return a part of the alerts of a kind in the month; None where there are none, and whether there are could not be seen."""
    month = unit.tallies[MONTH]
    return alerts if alerts or month.sight.state == SEEN or getattr(month, kind).alerts else None


def _list_tally_cells(span: str, tally: Tally) -> Row:
    sight = tally.sight
    cells: Row = {f"{span}_seen": sight.state, f"{span}_looks": sight.looks}
    for ground in GROUNDS:
        cells[f"{span}_share_{ground.replace('-', '_')}"] = round(sight.share(ground), 4)
    for name in COUNTS:
        count: Count = getattr(tally, name)
        is_known = count.alerts > 0 or sight.state == SEEN
        cells[f"{span}_{name}"] = count.alerts if is_known else None
        cells[f"{span}_{name}_ha"] = round(count.hectares, 4) if is_known else None
    apart = {"faded": tally.faded, "dismissed": tally.dismissed}
    return cells | {f"{span}_{key}": count if count or sight.state == SEEN else None for key, count in apart.items()}


def list_alert_rows(facts: BulletinFacts) -> list[Row]:
    """Return a row for each alert of each unit that is open at the end of the month, or of which something became in it."""
    return [_make_alert_row(unit, alert) for unit in facts.units for alert in unit.alerts]


def _make_alert_row(unit: UnitFacts, alert: UnitAlert) -> Row:
    return {
        "unit": unit.name,
        "unit_id": unit.id,
        "layer": unit.layer,
        "outside_any": int(unit.is_outside),
        "alert_id": alert.alert_id,
        "aoi": alert.aoi,
        "status": alert.status,
        "became": " ".join(alert.tags),
        "last_normal": alert.last_normal,
        "first_seen": alert.first_seen,
        "confirmed_on": alert.confirmed_on,
        "green_on": alert.green_on,
        "area_ha": round(alert.hectares, 4),
        "gained_ha": round(alert.gained, 4),
        "lat": alert.position.lat,
        "lon": alert.position.lon,
        "legal_status": alert.legal_status,
        "legal_reason": alert.legal_reason,
        "mine_score": alert.mine_score,
        "review": alert.review,
    }


# --- CSV -------------------------------------------------------------------------------------------------------------


def render_table(rows: Sequence[Row]) -> bytes:
    """Return rows as CSV, as RFC 4180 has it; no cell is run as a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(rows[0] if rows else ())
    writer.writerows([safe_cell(cell) for cell in row.values()] for row in rows)
    return text.getvalue().encode()


def render_table_metadata(name: str, rows: Sequence[Row], facts: BulletinFacts) -> bytes:
    """Return the file beside a CSV, with its credits and columns."""
    columns = {key: Column(key, _find_type(row[key] for row in rows), key.replace("_", " ")) for row in rows[:1] for key in row}
    title = f"Bulletin {facts.request.month.first:%Y-%m} by {facts.request.by}, made by minewatch"
    return render_metadata(name, columns, facts.credits, title=title, key="alert_id" if "alert_id" in columns else "unit")


def _find_type(cells: Any) -> str:
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int} and kinds:
        return "int32"
    if kinds <= {int, float} and kinds:
        return "float64"
    return "datetime64[D]" if kinds == {dt.date} else "object"


# --- workbook --------------------------------------------------------------------------------------------------------


def render_workbook(facts: BulletinFacts) -> bytes:
    """Return a workbook in the language of the bulletin: units, alerts, how to read them, credits."""
    texts = read_bulletin_texts(facts.request.language)
    package = importlib.import_module("xlsxwriter")  # a tenth of a second, which no other command should pay
    file = io.BytesIO()
    with package.Workbook(file, WORKBOOK_OPTIONS) as book:
        # Fixed, so that the same facts give the same bytes.
        book.set_properties({"created": dt.datetime(1980, 1, 1), "comments": facts.credits.text})  # noqa: DTZ001  # it takes no zone
        bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        _write_sheet(book.add_worksheet(texts.text("sheet_units")[:SHEET_NAME]), _list_unit_cells(facts, texts), bold)
        _write_sheet(book.add_worksheet(texts.text("sheet_alerts")[:SHEET_NAME]), _list_alert_cells(facts, texts), bold)
        write_credits(book.add_worksheet(CREDITS), facts.credits)
    return file.getvalue()


def _write_sheet(sheet: Any, rows: Sequence[Sequence[Any]], bold: Any) -> None:
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, len(rows[0]) - 1, 15)
    sheet.write_row(0, 0, rows[0], bold)
    sheet.autofilter(0, 0, len(rows) - 1, len(rows[0]) - 1)
    for number, row in enumerate(rows[1:], 1):
        sheet.write_row(number, 0, [workbook_cell(cell) for cell in row])


def _list_unit_cells(facts: BulletinFacts, texts: Texts) -> list[list[Any]]:
    spans = {span: name_span(span, facts.request.month, texts) for span in SPANS}
    head = [texts.text("column_unit"), "km²", texts.text("column_watched"), texts.text("column_known_to")]
    shares = ("head_looks", "head_examined", "column_not_seen", "column_blind")
    for name in spans.values():
        head += [f"{name}{texts.colon} {texts.text(key)}" for key in shares]
        for count in (texts.text(f"column_{name}") for name in COUNTS):
            head += [f"{name}{texts.colon} {count}", f"{name}{texts.colon} {count} (ha)"]
    kinds = {NEW: "column_new", BARE: "column_bare"}
    head += [f"{texts.text(key)}{texts.colon} {texts.text(f'legal_{status}')}" for key in kinds.values() for status in LEGAL]
    head += [texts.text("column_scored"), texts.text("column_like")]
    rows: list[list[Any]] = [head]
    for unit in facts.units:
        known = min(facts.request.month.last, unit.as_of[1]) if unit.as_of else None
        row: list[Any] = [name_unit(unit, texts), round(unit.km2, 4), round(unit.watched, 4), known]
        for span in spans:
            row += _list_span_cells(unit.tallies[span], texts)
        row += [_count_of_month(unit, unit.legal[kind].get(status, Count()).alerts, kind) for kind in kinds for status in LEGAL]
        rows.append([*row, *(_count_of_month(unit, count, BARE) for count in _list_likeness(unit).values())])
    return rows


def _list_span_cells(tally: Tally, texts: Texts) -> list[Any]:
    sight = tally.sight
    cells: list[Any] = [sight.looks, *(round(share, 4) for share in (sight.examined, sight.not_seen, sight.blind))]
    for name in COUNTS:
        count: Count = getattr(tally, name)
        if count.alerts or sight.state == SEEN:
            cells += [count.alerts, round(count.hectares, 4)]
        else:
            cells += [texts.text(WORDS[sight.state]), ""]
    return cells


def _list_alert_cells(facts: BulletinFacts, texts: Texts) -> list[list[Any]]:
    keys = (
        "column_unit", "column_alert", "fact_aoi", "column_status", "column_what", "head_last_normal", "head_first_seen",
        "column_confirmed_on", "fact_green_again", "column_area_ha", "column_gained", "column_latitude", "column_longitude",
        "column_legal_status", "fact_likeness", "column_review",
    )  # fmt: skip
    rows: list[list[Any]] = [[texts.text(key) for key in keys]]
    for unit in facts.units:
        name = name_unit(unit, texts)
        for alert in unit.alerts:
            place = alert.position.lat, alert.position.lon
            rows.append(
                [
                    name,
                    alert.alert_id,
                    alert.aoi,
                    texts.text(f"status_{alert.status}"),
                    describe_alert(alert, texts),
                    alert.last_normal,
                    alert.first_seen,
                    alert.confirmed_on,
                    alert.green_on,
                    round(alert.hectares, 4),
                    round(alert.gained, 4),
                    *place,
                    name_legal_status({"legal_status": alert.legal_status}, texts),
                    alert.mine_score,
                    texts.text(f"review_{alert.review}") if f"review_{alert.review}" in texts.words else alert.review,
                ]
            )
    return rows


def describe_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as plain data for JSON: dates as text, null where nothing is known."""
    return [{key: cell.isoformat() if isinstance(cell, dt.date) else cell for key, cell in row.items()} for row in rows]
