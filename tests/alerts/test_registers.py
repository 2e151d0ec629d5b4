"""Registers of mining rights as they write themselves: an application is no licence, and a licence is never called outside."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import pyogrio
import pytest
from click.testing import CliRunner, Result
from markupsafe import escape
from shapely.geometry import Polygon, box

from minewatch.alerts.context.cells import read_date
from minewatch.alerts.context.declaration import read_declarations
from minewatch.alerts.context.layer import open_layers
from minewatch.alerts.context.legal_basis import LegalBasis, read_legal_basis
from minewatch.alerts.context.legal_status import assess_bracket
from minewatch.alerts.context.overlap import Overlap
from minewatch.alerts.context.place import place_sites
from minewatch.alerts.context.presets import PRESETS
from minewatch.alerts.context.region import AlertSite
from minewatch.alerts.context.terms import LEGAL
from minewatch.alerts.read import read_alerts
from minewatch.areas.aoi import measure_area_ha
from minewatch.cli import main
from minewatch.cli.context import PRESET_NAMES
from minewatch.core.errors import ContextError
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.content import _describe_legal
from minewatch.products.evidence.read_me.law import list_law
from minewatch.products.evidence.read_me.wording import read_wording
from minewatch.products.report.gather_facts import gather_facts
from minewatch.products.report.html_page import render_page
from minewatch.products.report.law_words import describe_law
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.report_facts import ReportRequest
from minewatch.products.report.texts import read_texts
from minewatch.settings.document import init_workspace
from minewatch.settings.watching import NotifyTable
from tests.helpers.small import NAME, copy_workspace, make_scanned
from tests.helpers.tables import make_alert, put, row_of

NORMAL, SEEN = dt.date(2024, 4, 7), dt.date(2024, 6, 16)
"""The days between which the ground of most tests changed."""

Row = tuple[str, dict[str, Any]]
"""Legal status that ground in the row must have, and the row."""


def ms(year: int, month: int, day: int, hour: int = 5) -> int:
    """Return a day as services in UTC-5 write it: their midnight in milliseconds since 1970, UTC."""
    return int(dt.datetime(year, month, day, hour, tzinfo=dt.UTC).timestamp() * 1000)


def square(number: int) -> Polygon:
    """Return one of many squares that do not touch."""
    return box(-70 + 0.03 * number, -13, -69.99 + 0.03 * number, -12.99)


def peru(word: str, filed: Any = "2010-05-03") -> dict[str, Any]:
    letter = {"D.M. Titulado D.L. 708": "T", "D.M. en Trámite D.L. 708": "P"}.get(word, "F")
    return {
        "CODIGOU": "010033716", "FEC_DENU": filed, "CONCESION": "HUACRACANCHA 04", "TIT_CONCES": "MINERÍA Ñ S.A.",
        "ESTADO": letter, "D_ESTADO": word, "SUSTANCIA": "M", "DEPA": "MADRE DE DIOS",
    }  # fmt: skip


def brazil(phase: str, event: str = "236 - REQ PESQ/DOCUMENTO DIVERSO PROTOCOLIZADO EM 02/03/2011") -> dict[str, Any]:
    return {
        "PROCESSO": "850123/2010", "NUMERO": 850123, "ANO": 2010, "AREA_HA": 49.9, "FASE": phase, "ULT_EVENTO": event,
        "NOME": "MINERAÇÃO SÃO JOSÉ", "SUBS": "OURO", "USO": "Industrial", "UF": "PA",
    }  # fmt: skip


def colombia(status: str, stage: str, issued: int | None, ends: int | None, asked: int = ms(2008, 1, 15)) -> dict[str, Any]:
    return {
        "CODIGO_EXPEDIENTE": "ABC-091", "TENURE_ID": "ABC-091", "TITULO_ESTADO": status, "ETAPA": stage,
        "MODALIDAD": "CONTRATO DE CONCESION (L 685)", "SOLICITANTES_O_TITULARES": "(58832) METALES DEL SUR SAS",
        "FECHA_DE_SOLICITUD": asked, "FECHA_DE_EXPEDICION": issued, "FECHA_DE_EXPIRACION": ends,
    }  # fmt: skip


def landfolio(kind: str, status: str, granted: int | None, ends: int | None, group: str = "") -> dict[str, Any]:
    return {
        "Code": "PE14927", "Parties": "Société X (100%)", "Type": kind, "TypeGroup": "", "Status": status, "StatusGrp": group,
        "DteApplied": ms(2009, 3, 2, 22), "DteGranted": granted, "DteExpires": ends,
    }  # fmt: skip


LONG = ms(2012, 1, 1), ms(2042, 1, 1)
REGISTERS: dict[str, tuple[str, list[Row]]] = {
    "pe-ingemmet": (
        "catastro.shp",
        [
            ("inside", peru("D.M. Titulado D.L. 708")),
            ("inside", peru("D.M. Titulado D.L. 109")),
            ("inside", peru("Acumulación D.M. Titulada")),
            ("application", peru("D.M. en Trámite D.L. 708")),
            ("application", peru("D.M. en Trámite D.L. 109")),
            ("unknown", peru("D.M. Extinguido")),
            ("outside", peru("D.M. en Trámite D.L. 708", "2024-09-01")),
            ("unknown", peru("Planta de Beneficio")),
            ("unknown", peru("Concesión de Beneficio Titulada")),
            ("unknown", peru("D.M. No Titulado")),
        ],
    ),
    "br-sigmine": (
        "BRASIL.shp",
        [
            *(("inside", brazil(phase)) for phase in ("CONCESSÃO DE LAVRA", "REGISTRO DE EXTRAÇÃO", "LICENCIAMENTO")),
            *(("inside", brazil(phase)) for phase in ("LAVRA GARIMPEIRA", "PERMISSÃO DE LAVRA GARIMPEIRA")),
            ("inside", brazil("AUTORIZAÇÃO DE PESQUISA", "285 - AUT PESQ/GUIA UTILIZAÇÃO AUTORIZADA PUBL EM 14/02/2023")),
            ("exploration", brazil("AUTORIZAÇÃO DE PESQUISA")),
            ("exploration", brazil("AUTORIZAÇÃO DE PESQUISA", "AUT PESQ/GUIA UTILIZAÇÃO NÃO AUTORIZADA")),
            ("exploration", brazil("AUTORIZAÇÃO DE PESQUISA", "AUT PESQ/GUIA UTILIZAÇÃO PRORROGAÇÃO REQUERIDA")),
            *(
                ("exploration", brazil("AUTORIZAÇÃO DE PESQUISA", f"AUT PESQ/GUIA UTILIZAÇÃO {event}"))
                for event in ("- PEDIDO DE AUTORIZAÇÃO", "AUTORIZADA - VENCIDA", "AUTORIZADA SEM EFEITO", "PRORROGAÇÃO PROTOC")
            ),
            ("application", brazil("REQUERIMENTO DE LAVRA", "GUIA UTILIZAÇÃO PRORROGAÇÃO INDEFERIDA")),
            ("application", brazil("REQUERIMENTO DE LAVRA GARIMPEIRA")),
            ("application", brazil("REQUERIMENTO DE LAVRA")),
            ("application", brazil("DIREITO DE REQUERER A LAVRA")),
            ("unknown", brazil("DISPONIBILIDADE")),
            ("unknown", brazil("DADO NÃO CADASTRADO")),
        ],
    ),
    "co-anna": (
        "titulos.geojson",
        [
            ("inside", colombia("Activo", "Explotación", *LONG)),
            ("inside", colombia("Vigente", "Explotación", *LONG)),
            ("exploration", colombia("Activo", "Exploración", *LONG)),
            ("expired", colombia("Activo", "Explotación", ms(1993, 1, 1), ms(2023, 1, 1))),
            ("expired", colombia("Terminado", "Explotación", ms(1993, 1, 1), ms(2023, 1, 1))),
            ("unknown", colombia("Terminado", "Explotación", *LONG)),
            ("application", colombia("Solicitud en evaluación", "", None, None)),
            ("unknown", colombia("Solicitud rechazada", "", None, None)),
            ("inside", colombia("Activo", "Explotación", ms(1969, 7, 2), ms(2031, 1, 1))),
        ],
    ),
    "landfolio": (
        "cami.geojson",
        [
            ("inside", landfolio("Permis d'Exploitation", "Actif", *LONG)),
            ("inside", landfolio("Concessão Mineira", "Em Vigor", *LONG)),
            ("inside", landfolio("Exploração", "Em Vigor", *LONG)),
            ("inside", landfolio("Certificado Mineiro", "Em Vigor", *LONG)),
            ("unknown", landfolio("Licença de Tratamento Mineiro", "Em Vigor", *LONG)),
            ("inside", landfolio("Large Scale Mining Licence", "Active", *LONG)),
            ("exploration", landfolio("Permis de Recherches", "Actif", *LONG)),
            ("exploration", landfolio("Small Scale Exploration Licence", "Active", *LONG)),
            ("exploration", landfolio("Licença de Prospecção e Pesquisa", "Em Vigor", *LONG)),
            ("inside", landfolio("Large Scale Mining Licence", "Active (Application for Renewal)", *LONG)),
            ("unknown", landfolio("Mineral Processing Licence", "Active", *LONG)),
            ("unknown", landfolio("Large Scale Mining Licence", "Active", None, ms(2042, 1, 1))),
            ("application", landfolio("Permis d'Exploitation", "Demande en cours", None, None)),
            ("application", landfolio("Large Scale Mining Licence", "Open", None, None, "Application")),
            *(
                ("unknown", landfolio("Permis d'Exploitation", status, *LONG))
                for status in ("En cours d'instruction", "Em tramitação", "Rejetée", "Indeferido", "Renewal refused", "Draft", "")
            ),
            ("inside", landfolio("Permis d'Exploitation", "Application for Renewal", *LONG, "Application")),
            ("application", landfolio("Permis d'Exploitation", "Active", *LONG, "Application")),
            ("expired", landfolio("Permis d'Exploitation", "Expiré", ms(2000, 1, 1), ms(2020, 1, 1))),
            ("expired", landfolio("Permis d'Exploitation", "Actif", ms(2000, 1, 1), ms(2020, 1, 1))),
        ],
    ),
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


def save(workspace: Workspace, file: str, rows: list[dict[str, Any]], **how: Any) -> Path:
    """Write rows, each with a square of its own; shapefiles in Latin-1, and without a word on it, as registers do."""
    path = workspace.context / file
    shapes = [square(number) for number in range(len(rows))]
    if path.suffix == ".shp":
        how.setdefault("encoding", "ISO-8859-1")
    gpd.GeoDataFrame(rows, geometry=shapes, crs=how.pop("crs", 4326)).to_file(path, **how)
    path.with_suffix(".cpg").unlink(missing_ok=True)
    return path


def call(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), *words], catch_exceptions=False)


def run(workspace: Workspace, *words: str) -> str:
    result = call(workspace, *words)
    assert result.exit_code == 0, result.output
    return result.output


def place(workspace: Workspace, number: int = 0, first: dt.date | None = NORMAL, last: dt.date = SEEN) -> dict[str, Any]:
    site = AlertSite(square(number), last, last, first)
    return dict(place_sites(open_layers(workspace), {"x": site}).cells["x"])


def read(cells: dict[str, Any]) -> LegalBasis:
    basis = read_legal_basis(cells["legal_basis"])
    assert basis is not None
    return basis


# --- presets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", REGISTERS)
def test_no_application_is_inside_and_no_title_is_outside(workspace: Workspace, preset: str) -> None:
    file, rows = REGISTERS[preset]
    path = save(workspace, file, [row for _, row in rows])
    (count,) = json.loads(run(workspace, "context", "add", "register", str(path), "--preset", preset, "--json"))
    found = [place(workspace, number)["legal_status"] for number in range(len(rows))]
    assert found == [status for status, _ in rows]
    assert sum(count["standings"].values()) == count["rows"] == len(rows)
    assert len(count["examples"]) == 3
    assert run(workspace, "context", "check", "--json")


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "utf-8"])
@pytest.mark.parametrize("stated", [None, "UTF-8", "ISO-8859-1"])
def test_the_encoding_is_found_whatever_the_file_states(workspace: Workspace, encoding: str, stated: str | None) -> None:
    path = save(workspace, "catastro.shp", [peru("D.M. en Trámite D.L. 708"), peru("D.M. Titulado D.L. 708")], encoding=encoding)
    if stated:
        path.with_suffix(".cpg").write_text(stated)
    (count,) = json.loads(run(workspace, "context", "add", "peru", str(path), "--preset", "pe-ingemmet", "--json"))
    assert (count["standings"]["application"], count["standings"]["title"], count["unread"]) == (1, 1, {})
    assert count["examples"][0][0] == "MINERÍA Ñ S.A."


def test_the_table_says_what_the_rows_are_and_shows_three(workspace: Workspace) -> None:
    path = save(workspace, "catastro.shp", [row for _, row in REGISTERS["pe-ingemmet"][1]])
    text = run(workspace, "context", "add", "peru", str(path), "--preset", "pe-ingemmet")
    head, counts = (line.split() for line in text.splitlines()[:2])
    assert head == ["layer", "rows", "titles", "exploration", "applications", "lapsed", "unreadable", "dated"]
    assert counts == ["peru", "10", "3", "0", "3", "1", "3", "10"]
    assert text.count("HUACRACANCHA") == 0
    assert text.count("MINERÍA Ñ S.A.") == 3
    assert "Planta de Beneficio (1)" in text


def test_what_is_declared_can_be_listed_and_removed(workspace: Workspace) -> None:
    before = workspace.settings.read_text()
    path = save(workspace, "catastro.shp", [peru("D.M. Titulado D.L. 708")])
    run(workspace, "context", "add", "peru", str(path), "--preset", "pe-ingemmet")
    old = dt.datetime.now(dt.UTC) - dt.timedelta(days=100)
    for one in workspace.context.iterdir():
        os.utime(one, (old.timestamp(), old.timestamp()))
    text = run(workspace, "context", "list")
    assert f"{old.date()}" in text
    assert "is 100 days old; fetch the register anew" in text
    assert call(workspace, "context", "add", "peru", str(path), "--preset", "pe-ingemmet").exit_code == 1
    assert "did you mean 'peru'" in call(workspace, "context", "remove", "pero").output
    run(workspace, "context", "remove", "peru")
    assert workspace.settings.read_text() == before.rstrip() + "\n"
    assert path.exists()


def test_only_its_own_table_is_removed(workspace: Workspace) -> None:
    with workspace.settings.open("a") as file:
        file.write('\n[context.a]\nfile = "a.gpkg"\nkind = "river"\n\n# of b\n[context.b]\nfile = "b.gpkg"\nkind = "road"\n')
    run(workspace, "context", "remove", "a")
    assert list(read_declarations(workspace)) == ["b"]
    assert "# of b" in workspace.settings.read_text()


def test_a_table_within_a_line_is_left_to_its_owner(workspace: Workspace) -> None:
    text = 'context = { a = { file = "a.gpkg", kind = "river" } }\n' + workspace.settings.read_text()
    workspace.settings.write_text(text)
    result = call(workspace, "context", "remove", "a")
    assert (result.exit_code, workspace.settings.read_text()) == (1, text)
    assert "edit the table by hand" in result.output


def test_a_column_that_is_not_there_is_asked_for_by_its_key_with_guesses(workspace: Workspace) -> None:
    row = peru("D.M. Titulado D.L. 708")
    row["CODIGO_UN"], row["DESC_ESTAD"] = row.pop("CODIGOU"), row.pop("D_ESTADO")
    row.pop("ESTADO")
    path = save(workspace, "catastro.geojson", [row])
    words = ["context", "add", "peru", str(path), "--preset", "pe-ingemmet"]
    output = " ".join(call(workspace, *words).output.split())
    assert "has no column CODIGOU (id); the nearest: CODIGO_UN" in output
    assert "D_ESTADO (D_ESTADO); the nearest: DESC_ESTAD" in output
    assert "--column id=COLUMN --column D_ESTADO=COLUMN" in output
    assert "peru" not in read_declarations(workspace)
    run(workspace, *words, "--column", "id=CODIGO_UN", "--column", "D_ESTADO=DESC_ESTAD")
    assert place(workspace)["legal_status"] == "inside"
    assert read(place(workspace)).titles[0].id == "010033716"


def test_a_register_that_nobody_knows_is_guided(workspace: Workspace) -> None:
    rows = [
        {"HOLDER": "A", "LIC_NO": "1", "LIC_STATUS": "Mining Lease", "GRANTED": "23/04/2015", "EXPIRY": "22/04/2045"},
        {"HOLDER": "B", "LIC_NO": "2", "LIC_STATUS": "Prospecting", "GRANTED": "03/04/2015", "EXPIRY": "02/04/2045"},
    ]
    path = save(workspace, "gh.geojson", rows)
    words = ["context", "add", "gh", str(path), "--preset", "generic"]
    output = " ".join(call(workspace, *words).output.split())
    assert "name: HOLDER" in output
    assert "LIC_STATUS holds 'Mining Lease' (1), 'Prospecting' (1)" in output
    named = [f"--column={one}" for one in ("name=HOLDER", "id=LIC_NO", "valid_from=GRANTED", "valid_to=EXPIRY")]
    run(workspace, *words, *named, "--titles", "LIC_STATUS=mining *", "--exploration", "LIC_STATUS=prospecting")
    assert [place(workspace, number)["legal_status"] for number in (0, 1)] == ["inside", "exploration"]
    assert read(place(workspace, 1)).titles[0].valid_from == dt.date(2015, 4, 3)


def test_layers_of_one_file_are_declared_each_and_applications_known_by_their_layer(workspace: Workspace) -> None:
    path = workspace.context / "anna.gpkg"
    asked = {"CODIGO_EXPEDIENTE": "S-1", "FECHA_DE_SOLICITUD": ms(2020, 1, 1)}
    for layer, row in (("Titulo Vigente", colombia("Activo", "Explotación", *LONG)), ("Solicitud Vigente", asked)):
        gpd.GeoDataFrame([row], geometry=[square(layer == "Solicitud Vigente")], crs=4326).to_file(path, layer=layer)
    run(workspace, "context", "add", "anna", str(path), "--preset", "co-anna")
    assert list(read_declarations(workspace)) == ["anna-titulo-vigente", "anna-solicitud-vigente"]
    assert [place(workspace, number)["legal_status"] for number in (0, 1)] == ["inside", "application"]


@pytest.mark.parametrize(
    "layers",
    [("лицензии", "заявки"), ("Norte 1", "norte-1"), ("títulos mineros vigentes del norte", "títulos mineros vigentes del nor2")],
)
def test_every_layer_is_declared_however_much_their_names_are_alike(workspace: Workspace, layers: tuple[str, str]) -> None:
    path = workspace.context / "peru.gpkg"
    for layer in layers:
        gpd.GeoDataFrame([peru("D.M. Titulado D.L. 708")], geometry=[square(0)], crs=4326).to_file(path, layer=layer)
    run(workspace, "context", "add", "peru", str(path), "--preset", "pe-ingemmet")
    assert [declared.layer for declared in read_declarations(workspace).values()] == list(layers)


def test_of_several_layers_all_or_none_are_declared(workspace: Workspace) -> None:
    path = workspace.context / "peru.gpkg"
    for layer in ("a", "b"):
        gpd.GeoDataFrame([peru("D.M. Titulado D.L. 708")], geometry=[square(0)], crs=4326).to_file(path, layer=layer)
    words = [str(path), "--preset", "pe-ingemmet"]
    run(workspace, "context", "add", "peru-b", *words, "--layer", "b")
    before = workspace.settings.read_bytes()
    assert "[context.peru-b] is there already" in call(workspace, "context", "add", "peru", *words).output
    assert "cannot be the name" in call(workspace, "context", "add", "n" * 63, *words).output
    assert workspace.settings.read_bytes() == before


def test_ends_of_lines_stay_as_they_were(workspace: Workspace) -> None:
    path = save(workspace, "peru.shp", [peru("D.M. Titulado D.L. 708")])
    before = b'# of ours\r\nsource = "earth-search"  # keep\r\n'
    workspace.settings.write_bytes(before)
    run(workspace, "context", "add", "peru", str(path), "--preset", "pe-ingemmet")
    assert b"\n" not in workspace.settings.read_bytes().replace(b"\r\n", b"")
    run(workspace, "context", "remove", "peru")
    assert workspace.settings.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "line"),
    [("--crs=EPSG:999999", "unknown coordinate reference system"), ("--encoding=klingon", "unknown encoding")],
)
def test_what_nobody_knows_is_refused_in_one_line(workspace: Workspace, option: str, line: str) -> None:
    path = save(workspace, "peru.shp", [peru("D.M. Titulado D.L. 708")])
    result = call(workspace, "context", "add", "peru", str(path), "--preset", "pe-ingemmet", option)
    assert line in result.output
    assert result.output.count("\n") == 1


def test_all_rows_may_be_one_thing_but_for_words_that_say_else(workspace: Workspace) -> None:
    path = save(workspace, "gh.geojson", [{"ID": "1", "S": "open"}, {"ID": "2", "S": "refused"}])
    words = ["context", "add", "gh", str(path), "--preset", "generic", "--column", "id=ID"]
    output = call(workspace, *words, "--rows", "titles", "--titles", "S=open").output
    assert "--rows titles says that all rows are titles" in output
    (table,) = json.loads(run(workspace, *words, "--rows", "applications", "--lapsed", "S=refused", "--json"))
    assert (table["standings"]["application"], table["standings"]["lapsed"]) == (1, 1)


def test_titles_that_no_column_dates_are_told_at_once(workspace: Workspace) -> None:
    path = save(workspace, "gh.geojson", [{"ID": "1"}])
    words = ["context", "add", "gh", str(path), "--preset", "generic", "--rows", "titles"]
    assert "--as-of 2999-01-01 has not come yet" in call(workspace, *words, "--as-of", "2999-01-01").output
    assert "have the legal status unknown; name them with --column valid_from=COLUMN" in run(workspace, *words)


def test_a_shapefile_without_its_table_says_what_is_missing(workspace: Workspace) -> None:
    path = save(workspace, "peru.shp", [peru("D.M. Titulado D.L. 708")])
    path.with_suffix(".dbf").unlink()
    output = call(workspace, "context", "add", "peru", str(path), "--preset", "pe-ingemmet").output
    assert "the .dbf that belongs to it is missing" in output


def test_a_file_without_a_reference_system_has_that_of_its_register(workspace: Workspace) -> None:
    path = save(workspace, "BRASIL.shp", [brazil("CONCESSÃO DE LAVRA")], crs=4674)
    path.with_suffix(".prj").unlink()
    run(workspace, "context", "add", "br", str(path), "--preset", "br-sigmine")
    assert read_declarations(workspace)["br"].crs == "EPSG:4674"


def test_help_names_the_presets() -> None:
    assert tuple(PRESETS) == PRESET_NAMES


# --- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('titles = "Active"', "titles: write the columns and their words"),
        ("titles = { STATUS = 3.5 }", "titles: STATUS: list the words"),
        ("titles = []", "titles: write the columns and their words"),
        ("titles = true\napplications = true", "titles and applications|applications and titles"),
        ('titles = { STAT = ["Active"] }', r"has no column 'STAT' \(status 1\); did you mean 'STATUS'"),
    ],
)
def test_a_wrong_choice_of_rows_is_named(workspace: Workspace, lines: str, message: str) -> None:
    save(workspace, "r.geojson", [{"STATUS": "Active"}])
    with workspace.settings.open("a") as file:
        file.write(f'\n[context.r]\nfile = "r.geojson"\nkind = "concession"\n{lines}\n')
    with pytest.raises(ContextError, match=message):
        open_layers(workspace)


def test_rows_are_for_concessions(workspace: Workspace) -> None:
    with workspace.settings.open("a") as file:
        file.write('\n[context.r]\nfile = "r.gpkg"\nkind = "river"\ntitles = true\n')
    with pytest.raises(ContextError, match="titles is for concessions"):
        read_declarations(workspace)


@pytest.mark.parametrize(
    ("cell", "date_format", "expected"),
    [
        (ms(2016, 1, 4), None, dt.date(2016, 1, 4)),
        (float(ms(2016, 1, 4)), None, dt.date(2016, 1, 4)),
        (str(ms(2010, 5, 2, 22)), None, dt.date(2010, 5, 3)),
        (ms(1969, 7, 2), "milliseconds", dt.date(1969, 7, 2)),
        (ms(1970, 3, 1), "milliseconds", dt.date(1970, 3, 1)),
        (ms(2020, 1, 1, 0) - 1000, "milliseconds", dt.date(2019, 12, 31)),
        (0, "milliseconds", None),
        (10**15 - 1, "milliseconds", None),
        ("2016-01-04", "milliseconds", dt.date(2016, 1, 4)),
        ("2010-05-02T22:00:00Z", "milliseconds", dt.date(2010, 5, 3)),
        ("2010-05-02T22:00:00Z", None, dt.date(2010, 5, 2)),
        ("20160104", None, dt.date(2016, 1, 4)),
        ("04/01/2016", "%d/%m/%Y", dt.date(2016, 1, 4)),
        ("04/01/2016", None, None),
    ],
)
def test_dates_are_read_as_registers_write_them(cell: Any, date_format: str | None, expected: dt.date | None) -> None:
    assert read_date(cell, date_format) == expected


# --- the verdict -----------------------------------------------------------------------------------------------------

SQUARE = square(0)
PERIOD = dt.date(2010, 1, 1), dt.date(2030, 1, 1)
BEFORE = dt.date(2010, 1, 1), dt.date(2024, 5, 1)


def overlap(standing: str, period: Any = PERIOD, share: float = 1.0, **more: Any) -> Overlap:
    west, south, east, north = SQUARE.bounds
    piece = box(west, south, west + share * (east - west), north)
    return Overlap(standing, period, (piece,), piece.area, standing=standing, **more)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([overlap("title"), overlap("application", None), overlap("exploration")], ("inside", "")),
        ([overlap("application", None), overlap("exploration")], ("application", "")),
        ([overlap("exploration")], ("exploration", "")),
        ([overlap("exploration", BEFORE)], ("exploration", "")),
        ([overlap("title", BEFORE), overlap("application", None)], ("unknown", "partly-valid")),
        ([overlap("title", (dt.date(2000, 1, 1), dt.date(2010, 1, 1))), overlap("application", None)], ("application", "")),
        ([overlap("application", None, applied=dt.date(2024, 5, 1))], ("application", "")),
        ([overlap("application", None, applied=dt.date(2024, 7, 1))], ("outside", "")),
        ([overlap("title", share=0.3), overlap("application", None)], ("application", "")),
        ([overlap("application", None, share=0.4)], ("outside", "")),
        ([overlap("unread", None)], ("unknown", "no-status")),
        ([overlap("unread", None), overlap("title")], ("inside", "")),
        ([overlap("lapsed", None, as_of=dt.date(2024, 3, 1))], ("expired", "")),
        ([overlap("lapsed", None, as_of=dt.date(2024, 9, 1))], ("unknown", "no-dates")),
        ([overlap("lapsed", (dt.date(2000, 1, 1), dt.date(2010, 1, 1)), as_of=dt.date(2024, 9, 1))], ("expired", "")),
    ],
)
def test_a_title_wins_over_an_application_and_that_over_exploration(found: list[Overlap], expected: tuple[str, str]) -> None:
    verdict = assess_bracket(found, NORMAL, SEEN, measure_area_ha(SQUARE))
    assert (verdict.status, verdict.reason) == expected


def test_the_verdict_names_row_status_dates_and_file(workspace: Workspace) -> None:
    path = save(workspace, "titulos.geojson", [colombia("Solicitud en evaluación", "", None, None)])
    run(workspace, "context", "add", "anna", str(path), "--preset", "co-anna", "--as-of", "2024-05-05")
    cells = place(workspace)
    (title,), (layer,) = read(cells).titles, read(cells).layers
    assert (title.id, title.standing, title.applied) == ("ABC-091", "application", dt.date(2008, 1, 15))
    assert title.words == "Solicitud en evaluación · CONTRATO DE CONCESION (L 685)"
    assert (layer.as_of, len(layer.files[0].sha256)) == (dt.date(2024, 5, 5), 64)
    assert (cells["concession"], cells["concession_ha"]) == ("", 0), "who asked for ground has no concession"


def test_a_bare_outline_is_told_as_before(workspace: Workspace) -> None:
    save(workspace, "bare.geojson", [{"label": "A"}])
    with workspace.settings.open("a") as file:
        file.write('\n[context.bare]\nfile = "bare.geojson"\nkind = "concession"\nvalid_from = 2010-01-01\n')
    cells = place(workspace)
    assert cells["legal_status"] == "inside"
    document = json.loads(cells["legal_basis"])
    assert set(document["titles"][0]) == {
        "name", "id", "layer", "dated", "valid_from", "valid_to", "hectares", "per_cent", "decides",
    }  # fmt: skip
    assert set(document["layers"][0]) == {"layer", "files"}
    (said,) = describe_law(cells, read_texts("en")).titles
    assert said.standing == ""


# --- where it is told ------------------------------------------------------------------------------------------------


@pytest.fixture
def told(workspace: Workspace) -> Workspace:
    """A table with an alert in ground that was asked for, by a register that is 100 days old."""
    path = save(workspace, "titulos.geojson", [colombia("Solicitud en <b>evaluación</b>", "", None, None)])
    run(workspace, "context", "add", "anna", str(path), "--preset", "co-anna")
    old = (dt.datetime.now(dt.UTC) - dt.timedelta(days=100)).timestamp()
    os.utime(path, (old, old))
    alert = make_alert(0)
    put(workspace.alerts, alert, context={alert.alert_id: place(workspace)})
    return workspace


@pytest.fixture
def scanned(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace all of whose ground was asked for, by a register that is 100 days old."""
    workspace = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "scanned")
    shape = box(*read_alerts(workspace.alerts).total_bounds).buffer(0.01)
    path = workspace.context / "titulos.geojson"
    row = colombia("Solicitud en <b>evaluación</b>", "", None, None)
    gpd.GeoDataFrame([row], geometry=[shape], crs=4326).to_file(path)
    old = (dt.datetime.now(dt.UTC) - dt.timedelta(days=100)).timestamp()
    os.utime(path, (old, old))
    run(workspace, "context", "add", "anna", str(path), "--preset", "co-anna")
    run(workspace, "context", "refresh")
    return workspace


def test_ground_that_was_asked_for_is_listed_as_outside_concessions(told: Workspace) -> None:
    (row,) = json.loads(run(told, "alerts", "list", "--outside", "concession", "--json"))
    assert row["legal_status"] == "application"
    text = " ".join(run(told, "alerts", "show", row["alert_id"]).split())
    assert "applied for, not granted" in text
    assert "application (Solicitud en <b>evaluación</b> · CONTRATO DE CONCESION (L 685))" in text
    assert "applied for on 15 January 2008" in text
    assert "Layer anna shows the register of" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_words_for_it(told: Workspace, language: str) -> None:
    texts, row = read_texts(language), row_of(told.alerts, make_alert(0).alert_id)
    law = describe_law(row, texts, dt.datetime.now(dt.UTC).date())
    assert law.status.startswith(texts.text("legal_application"))
    assert law.status.endswith(texts.text("legal_meaning_application"))
    assert texts.text("standing_application") in law.titles[0].standing
    assert texts.date(dt.date(2008, 1, 15)) in law.titles[0].validity
    (stale,) = law.stale
    assert "100" in stale
    assert describe_law(row, texts, dt.datetime.now(dt.UTC).date() - dt.timedelta(days=20)).stale == ()
    assert _describe_legal(row, texts) == texts.text("legal_application")
    for status in LEGAL:
        assert f"legal_{status}" in texts.words
        assert f"legal_meaning_{status}" in texts.words
    no_status = {"legal_status": "unknown", "legal_reason": "no-status", "legal_basis": ""}
    assert describe_law(no_status, texts).status.endswith(texts.text("legal_meaning_no_status"))


def test_the_report_names_status_and_age_and_runs_nothing(scanned: Workspace) -> None:
    facts, texts = gather_facts(scanned, ReportRequest(NAME, language="fr")), read_texts("fr")
    page = render_page(facts)
    assert "<b>evaluación</b>" not in page
    assert facts.alerts
    for alert in facts.alerts:
        law = describe_law(alert.row, texts, facts.made.date())
        assert alert.row["legal_status"] == "application"
        assert escape(law.status) in page
        assert escape(law.titles[0].standing) in page
        assert escape(law.stale[0]) in page
    assert escape(texts.text("law_standing")) in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_evidence_says_the_same(told: Workspace, language: str) -> None:
    words, row = read_wording(language), row_of(told.alerts, make_alert(0).alert_id)
    facts = SimpleNamespace(alert=dict(row), first_seen=SEEN, made=dt.datetime.now(dt.UTC))
    lines = dict(list_law(facts, words))
    when = words.texts.text("law_when_bracket")
    assert words.texts.text("law_application", when=when) in lines[words.texts.text("column_legal_status")]
    assert "Solicitud en" in lines[words.texts.text("title_label")]
    assert "100" in lines[words.texts.text("stale_label")]
    for key in ("law_exploration", "law_unknown_no_status"):
        assert key in words.texts.words


def test_qgis_sees_what_the_row_is(told: Workspace) -> None:
    frame = pyogrio.read_dataframe(told.alerts, layer="alert_titles")
    (cells,) = frame[["standing", "applied", "valid_to"]].to_numpy().tolist()
    assert cells == ["application", "2008-01-15", None]


def test_rules_take_the_new_states() -> None:
    table = NotifyTable(to_variable="RANGERS_MAIL", areas=("*",), legal_status=("application", "exploration"))
    assert table.legal_status == ("application", "exploration")
