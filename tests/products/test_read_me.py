"""READ-ME-FIRST of a pack: what it says is what the evidence, the log and the decisions have."""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import json
import re
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.features
from pyproj import Transformer
from shapely import transform
from shapely.geometry import shape

from minewatch.alerts.rows import read_rows
from minewatch.core.errors import ReportError
from minewatch.core.workspace import Workspace
from minewatch.likeness.grades import MEANING
from minewatch.products.evidence.custody_log import CustodyEntry
from minewatch.products.evidence.decision_lines import list_decision_lines
from minewatch.products.evidence.read_me.facts import PackContent, gather_facts
from minewatch.products.evidence.read_me.page import render_page
from minewatch.products.evidence.read_me.wording import FOLDER
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.texts import read_texts
from tests.helpers.dossiers import list_evidence, make_watch, run, start_apart
from tests.helpers.small import make_scanned

ENTRY = CustodyEntry(7, "2026-11-29T14:05:58.120+00:00", "ana@post", "packed", "spot-1", "", "as x.zip", "0" * 64)


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_apart(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_scanned(tmp_path_factory)[0]


@pytest.fixture
def content(scanned: Workspace) -> PackContent:
    folder = list_evidence(scanned)[0]
    return PackContent(folder.name, read_folder(folder), (ENTRY,), (), None)


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_page(workspace: Workspace, content: PackContent, language: str = "en") -> str:
    """Return the text of the page, on one line."""
    page = render_page(gather_facts(workspace, content), language)
    text = re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def read_files(content: PackContent) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the manifest, and the feature of the alert with its properties."""
    (feature,) = json.loads(content.folder["alert.geojson"])["features"]
    return json.loads(content.folder["manifest.json"]), feature, feature["properties"]


def change_alert(content: PackContent, **properties: Any) -> PackContent:
    document = json.loads(content.folder["alert.geojson"])
    document["features"][0]["properties"] |= properties
    return replace(content, folder={**content.folder, "alert.geojson": json.dumps(document).encode()})


def change_manifest(content: PackContent, change: Callable[[dict[str, Any]], Any]) -> PackContent:
    manifest = json.loads(content.folder["manifest.json"])
    change(manifest)
    return replace(content, folder={**content.folder, "manifest.json": json.dumps(manifest).encode()})


def write_day(text: str) -> str:
    day = dt.date.fromisoformat(text[:10])
    return f"{day.day} {day:%B %Y}"


def measure_ndvi(content: PackContent, name: str, geometry: Any) -> tuple[float, int]:
    """Return the median NDVI of the pixels whose centre lies in an outline, and their number."""
    with rasterio.MemoryFile(content.folder[f"{name}.tif"]) as memory, memory.open() as raster:
        to_grid = Transformer.from_crs(4326, raster.crs, always_xy=True)
        outline = transform(shape(geometry), lambda points: np.column_stack(to_grid.transform(points[:, 0], points[:, 1])))
        inside = rasterio.features.geometry_mask([outline], raster.shape, raster.transform, invert=True)
        names = [text.split(" ")[0] for text in raster.descriptions]
        red, nir = (raster.read(names.index(band) + 1)[inside].astype(float) for band in ("red", "nir"))
    return float(np.median((nir - red) / (nir + red))), int(inside.sum())


# --- what, where, when, how sure -------------------------------------------------------------------------------------


def test_the_page_says_what_the_evidence_has(scanned: Workspace, content: PackContent) -> None:
    text, (manifest, feature, alert) = read_page(scanned, content), read_files(content)
    assert f"Evidence on alert {content.name}" in text
    assert text.count(hashlib.sha256(content.folder["manifest.json"]).hexdigest()) == 2, "in full, at the head and to check it"
    assert f"On {alert['area_ha']:.2f} hectares in the area spot vegetation was lost" in text
    assert f"confirmed by the method on {write_day(alert['confirmed_on'])}" in text
    assert f"First seen changed {write_day(alert['first_seen'])}" in text
    assert f"{alert['lat']:.6f}, {alert['lon']:.6f}" in text
    assert f"Clear looks since first seen {alert['looks']}, up to {write_day(alert['as_of'])}" in text
    assert f"NDVI \N{MINUS SIGN}{-alert['ndvi_change']:.2f} · BSI +{alert['bsi_change']:.2f}" in text
    for name, label in (("before", "Before"), ("after", "After")):
        image = manifest["images"][name]
        assert f"{label}: {write_day(image['acquired'])}" in text
        assert all(source["id"] in text for source in image["sources"])
    assert (
        "Simulated scenes, not real imagery; of real ones it would say: Contains modified Copernicus Sentinel data 2022. " in text
    )
    (before, count), (after, _) = (measure_ndvi(content, name, feature["geometry"]) for name in ("before", "after"))
    assert f"NDVI of the {count} pixels inside the outline falls from {before:.2f} (" in text
    assert f") to {after:.2f} (" in text
    assert f"by {round(before, 2) - round(after, 2):.2f}." in text
    assert manifest["run_id"] in text


@pytest.mark.parametrize(
    ("last_normal", "first_seen", "sentence"),
    [
        ("2019-04-07", "2019-06-16", "The ground changed between 7 April and 16 June 2019 (70 days)."),
        ("2018-12-31", "2019-01-01", "The ground changed between 31 December 2018 and 1 January 2019 (1 day)."),
        (None, "2019-06-16", "The ground changed not later than 16 June 2019: no normal look is known before."),
    ],
)
def test_when_is_a_bracket(
    scanned: Workspace, content: PackContent, last_normal: str | None, first_seen: str, sentence: str
) -> None:
    changed = change_alert(content, last_normal=last_normal, first_seen=first_seen)
    assert sentence in read_page(scanned, changed)


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("es", "El terreno cambió entre el 7 de abril y el 16 de junio de 2019 (70 días)."),
        ("fr", "Le terrain a changé entre le 7 avril et le 16 juin 2019 (70 jours)."),
        ("pt", "O terreno mudou entre 7 de abril e 16 de junho de 2019 (70 dias)."),
    ],
)
def test_other_languages_say_the_same(scanned: Workspace, content: PackContent, language: str, sentence: str) -> None:
    text = read_page(scanned, change_alert(content, last_normal="2019-04-07", first_seen="2019-06-16"), language)
    assert sentence in text
    assert "What was not verified" not in text


def test_every_language_has_every_text_with_the_same_values() -> None:
    words = {language: tomllib.loads((FOLDER / f"{language}.toml").read_text("utf-8")) for language in LANGUAGES}

    def list_values(text: str | dict[str, str]) -> set[str]:
        return set(re.findall(r"{(\w+)}", text if isinstance(text, str) else " ".join(text.values())))

    for language in LANGUAGES:
        assert words[language].keys() == words["en"].keys()
        assert {key: list_values(text) for key, text in words[language].items()} == {
            key: list_values(text) for key, text in words["en"].items()
        }


def test_outline_and_hectares_are_of_the_day_that_is_named(scanned: Workspace, content: PackContent) -> None:
    _, _, alert = read_files(content)
    first = change_alert(change_manifest(content, lambda manifest: manifest.update({"format": 1})), as_of="2023-03-31")
    text = read_page(scanned, first)
    assert "the outline as the scan of 31 March 2023 found it" in text
    assert f"Clear looks since first seen {alert['looks']}, up to 31 March 2023" in text
    second = change_manifest(content, lambda manifest: manifest.update({"format": 2}))
    text = read_page(scanned, second)
    confirmed = write_day(alert["confirmed_on"])
    assert f"the outline as of {confirmed}, the look that confirmed it" in text
    assert f"Clear looks since first seen {alert['looks']}, up to {confirmed}" in text


# --- pictures --------------------------------------------------------------------------------------------------------


def test_the_pictures_are_maps(scanned: Workspace, content: PackContent) -> None:
    page = render_page(gather_facts(scanned, content), "en")
    assert page.count('class="outline"') == page.count('class="north"') == page.count('class="bar"') == 2
    assert page.count('<image href="data:image/jpeg;base64,') == 2
    metres = {float(text) for text in re.findall(r'data-metres="([\d.]+)"', page)}
    assert len(metres) == 1
    (length,) = metres
    assert f">{length:g} m</text>" in page
    for bar in re.findall(r'<rect class="bar"[^>]* width="([\d.]+)"', page):
        assert float(bar) * 10 == pytest.approx(length, rel=1e-3), "a unit of the picture is a pixel of 10 m"


def test_a_picture_is_called_what_it_is(scanned: Workspace, content: PackContent) -> None:
    manifest, _, alert = read_files(content)
    text = read_page(scanned, content)
    assert ("the last look at which this ground was surely unchanged" in text) == (
        manifest["images"]["before"]["acquired"][:10] == alert["last_normal"]
    )
    assert ("the look that confirmed the change" in text) == (
        manifest["images"]["after"]["acquired"][:10] == alert["confirmed_on"]
    )
    days = {"before": alert["last_normal"], "after": alert["confirmed_on"]}

    def move(manifest: dict[str, Any]) -> None:
        for name, day in days.items():
            manifest["images"][name]["acquired"] = f"{day}T15:00:00+00:00"

    text = read_page(scanned, change_manifest(content, move))
    assert f"Before: {write_day(days['before'])} · the last look at which this ground was surely unchanged" in text
    assert f"After: {write_day(days['after'])} · the look that confirmed the change" in text
    days |= {"before": "2021-01-02", "after": "2022-12-31"}
    text = read_page(scanned, change_manifest(content, move))
    assert "Before: 2 January 2021 · a look before the change" in text
    assert "After: 31 December 2022 · a look that shows the change" in text
    assert "Contains modified Copernicus Sentinel data 2021-2022. " in text


def test_evidence_without_a_normal_look_says_so(scanned: Workspace, content: PackContent) -> None:
    folder = {name: data for name, data in content.folder.items() if not name.startswith("before")}
    alone = change_manifest(replace(content, folder=folder), lambda manifest: manifest["images"].pop("before"))
    text = read_page(
        scanned, change_manifest(alone, lambda manifest: manifest.update({"not_shown": {"before": "no look is known"}}))
    )
    assert "could not be kept. (no look is known)" in text
    assert "There is no picture from before the change on file: no normal look at this ground is known" in text
    assert "median NDVI" not in text
    seasonal = {"before-season.tif": content.folder["before.tif"], "before-season-scl.tif": content.folder["before-scl.tif"]}
    image = read_files(content)[0]["images"]["before"]
    with_season = change_manifest(
        replace(alone, folder={**alone.folder, **seasonal}),
        lambda manifest: manifest["images"].update({"before-season": image}),
    )
    text = read_page(scanned, with_season)
    assert "the same season of an earlier year" in text
    assert "There is no picture from before" not in text


def test_what_is_no_fall_is_not_called_one(scanned: Workspace, content: PackContent) -> None:
    same = {"before.tif": content.folder["after.tif"], "before-scl.tif": content.folder["after-scl.tif"]}
    text = read_page(scanned, replace(content, folder={**content.folder, **same}))
    assert "These two images alone do not show the loss" in text
    assert "falls from" not in text


def test_the_season_counts_where_the_last_normal_look_was_leafless(scanned: Workspace, content: PackContent) -> None:
    """The last normal look as green as after; a year earlier the same season was greener."""
    image = read_files(content)[0]["images"]["before"] | {"acquired": "2021-12-30T15:00:00+00:00"}
    files = {"before-season.tif": "before.tif", "before-season-scl.tif": "before-scl.tif"}
    files |= {"before.tif": "after.tif", "before-scl.tif": "after-scl.tif"}
    leafless = replace(content, folder={**content.folder, **{name: content.folder[file] for name, file in files.items()}})
    leafless = change_manifest(leafless, lambda manifest: manifest["images"].update({"before-season": image}))
    _, feature, _ = read_files(content)
    (before, _), (after, _) = (measure_ndvi(content, name, feature["geometry"]) for name in ("before", "after"))
    text = read_page(scanned, leafless)
    assert f"falls from {before:.2f} (30 December 2021) to {after:.2f}" in text
    assert f"it was {after:.2f}." in text


def test_what_newer_evidence_has_is_told(scanned: Workspace, content: PackContent) -> None:
    document = json.loads(content.folder["alert.geojson"])
    document["features"][0]["properties"] = {"area_ha": 2.3456}
    plain = {name: data for name, data in content.folder.items() if not name.startswith("growth-")}
    grown = {"growth-2023-01-06/alert.geojson": json.dumps(document).encode()}
    newer = change_manifest(replace(content, folder={**plain, **grown}), lambda manifest: manifest.pop("recomputed", None))
    assert "Grown to, on file 6 January 2023: 2.35 hectares" in read_page(scanned, newer)
    same = change_manifest(newer, lambda manifest: manifest.update({"recomputed": {"agrees": True, "differing": []}}))
    assert "Recomputed from this folder alone when it was written: the same alert comes out" in read_page(scanned, same)
    other = change_manifest(newer, lambda manifest: manifest.update({"recomputed": {"agrees": False, "differing": ["area_ha"]}}))
    assert "when it was written: it differs in area_ha" in read_page(scanned, other)
    assert "Recomputed" not in read_page(scanned, newer)
    part = change_alert(newer, looks=None, ndvi_change=None, bsi_change=None)
    assert "Clear looks since first seen" not in read_page(scanned, part), "a part that split off lacks them"


# --- what was not verified -------------------------------------------------------------------------------------------


def test_what_was_not_verified_fits_the_evidence(scanned: Workspace, content: PackContent) -> None:
    text = read_page(scanned, content)
    for words in ("satellite images alone", "It does not say that this is a mine", "the clock of a computer", "is not signed"):
        assert words in text
    assert "trial scan" not in text
    assert "manifest.tsr" not in text

    def sign(manifest: dict[str, Any]) -> None:
        manifest.update({"signed_with": {"fingerprint": "12ab" * 8}, "what_if": True})

    signed = change_manifest(content, sign)
    text = read_page(scanned, replace(signed, folder={**signed.folder, "manifest.tsr": b"x"}))
    assert f"the key with the fingerprint {'12ab' * 8}" in text
    assert "trial scan" in text
    assert "(manifest.tsr); it was not checked for this page" in text
    assert "manifest of this evidence is not signed" not in text


def test_the_law_is_told_as_it_was_judged(scanned: Workspace, content: PackContent) -> None:
    inside = {"legal_status": "inside", "concession": "Río Claro", "concession_ha": 1.25, "concession_pct": 90.0}
    older = change_alert(content, first_seen="2022-12-07", legal_basis=None, legal_reason=None)
    text = read_page(scanned, change_alert(older, **inside, admin_unit="Tambopata"))
    assert "in concessions that were valid on the day it was first seen, 7 December 2022" in text
    assert "Río Claro: 1.25 ha, 90" in text
    assert "Administrative unit Tambopata" in text
    moment = "2022-10-01T08:30:00+00:00"
    basis = {
        "periods": [],
        "titles": [
            {"name": "Río Claro", "id": "MC-17", "layer": "titles", "dated": True, "valid_from": None, "valid_to": "2022-11-30",
             "hectares": 1.25, "per_cent": 90.0, "decides": True}
        ],
        "smaller": 0,
        "layers": [{"layer": "titles", "files": [{"file": "titles.gpkg", "modified": moment, "sha256": "ef" * 32}]}],
    }  # fmt: skip
    partly = {"legal_status": "unknown", "legal_reason": "partly-valid", "legal_basis": json.dumps(basis)}
    text = read_page(scanned, change_alert(content, **partly))
    assert "unknown: the change may have begun while a concession was valid, which was not valid all the time" in text
    title = "Río Claro, MC-17; until 30 November 2022; 1.25 ha, 90 % of the alert; layer titles; the legal status rests on it"
    assert title in text
    assert f"titles.gpkg, changed 1 October 2022, 08:30 UTC, SHA-256 {'ef' * 32}" in text
    expired = {"legal_status": "expired", "legal_reason": "", "legal_basis": json.dumps(basis)}
    assert "not valid on every day on which the ground may have changed" in read_page(scanned, change_alert(content, **expired))


# --- people ----------------------------------------------------------------------------------------------------------


def test_decisions_are_in_the_pack_and_on_the_page(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    watch = make_watch(tmp_path_factory, tmp_path)
    name, other = (folder.name for folder in list_evidence(watch)[:2])
    for alert, words in (
        (name, ("--dismiss", "road works", "--note", "seen on the map")),
        (other, ("--confirm",)),
        (name, ("--needs-visit",)),
    ):
        assert run("alerts", "review", alert, *words, "--by", "R. Quispe", "-w", watch.root).exit_code == 0
    answer = run("pack", name, "-w", watch.root, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.stderr
    lines = watch.decisions.read_bytes().splitlines()
    top = zipfile.Path(answer.stdout.strip(), f"{name}/")
    assert (top / "decisions.jsonl").read_bytes().splitlines() == [lines[0], lines[2]]
    text = read_page(watch, PackContent(name, read_folder(watch.evidence / name), (ENTRY,), (lines[0], lines[2]), None))
    decided = json.loads(lines[0])["decided"]
    moment = decided[:19].replace("T", " ")
    assert f"{moment} 2023-03-31 R. Quispe dismissed road works; seen on the map" in text
    assert "2023-03-31 R. Quispe needs a visit –" in text
    assert "No decision of a person" not in text


def test_without_decisions_the_page_says_so(scanned: Workspace, content: PackContent) -> None:
    assert "No decision of a person on this alert is on record" in read_page(scanned, content)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            {"decided": "2025-01-31T10:00:00+00:00"},
            "before 2025-01-31 10:00 2024-12-31 not said confirmed in the table, with QGIS",
        ),
        (
            {"decided": None, "made_after": "2025-01-02T09:30:00+00:00", "found_at": "2025-01-31T12:00:00+02:00"},
            "between 2025-01-02 09:30 and 2025-01-31 10:00 2024-12-31 not said",
        ),
        ({"decided": "nonsense"}, "– 2024-12-31 not said"),
    ],
)
def test_of_an_edit_in_qgis_only_a_range_is_told(
    scanned: Workspace, content: PackContent, times: dict[str, Any], words: str
) -> None:
    line = {"alert_id": content.name, "review": "confirmed", "by": "", "effective": "2024-12-31", "via": "table", **times}
    assert words in read_page(scanned, replace(content, decisions=(json.dumps(line).encode(),)))


def test_decisions_under_an_earlier_id_belong_to_the_alert(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = make_watch(tmp_path_factory, tmp_path)
    name = list_evidence(watch)[0].name
    lines = [json.dumps({"alert_id": alert}).encode() for alert in ("spot-old", name, "spot-other")]
    watch.decisions.write_bytes(b"\n".join([lines[0], b"{damaged", *lines[1:]]) + b"\n")
    known = {"spot-old": "spot-new", name: "spot-new"}
    monkeypatch.setattr("minewatch.products.evidence.decision_lines.find_alert", lambda _, alert: known.get(alert, alert))
    assert list_decision_lines(watch, name) == (lines[0], lines[1])


def test_who_handled_it_is_a_table_of_the_log(scanned: Workspace, content: PackContent) -> None:
    made = replace(ENTRY, number=3, action="made", detail="scan 20261129T134759Z-2653b1", when="2026-11-29T15:48:10+02:00")
    sent = replace(ENTRY, number=5, recipient="District court", purpose="file 12/2024", files=(("x.zip", "ab" * 32, 9),))
    text = read_page(scanned, replace(content, entries=(made, sent)))
    assert "3 2026-11-29 13:48:10 ana@post written scan 20261129T134759Z-2653b1" in text
    assert f"packed as x.zip; x.zip SHA-256 {'ab' * 8}…; for District court; purpose: file 12/2024" in text
    assert "the log has it in a line after number 5" in text


def test_what_became_of_it_is_told_from_the_table(scanned: Workspace, content: PackContent) -> None:
    (row,) = [
        row for row in json.loads(run("alerts", "list", "-w", scanned.root, "--json").stdout) if row["alert_id"] == content.name
    ]
    text = read_page(scanned, content)
    assert f"{row['area_ha']:.2f} hectares, as of {write_day(row['as_of'])}" in text
    assert ("still bare" in text) == (row["status"] == "confirmed")
    assert "Since then" not in read_page(replace(scanned, output_root=scanned.root / "nowhere"), content)


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_likeness_that_the_table_has_is_told_with_what_it_is_not(scanned: Workspace, content: PackContent) -> None:
    (row,) = (row for row in read_rows(scanned.alerts) if row["alert_id"] == content.name)
    text = read_page(scanned, content)
    assert f"Likeness to a mine {row['mine_reasons']}" in text
    assert MEANING in text


def test_no_text_of_the_data_runs_and_nothing_is_loaded(scanned: Workspace, content: PackContent) -> None:
    evil = '"><script>alert(1)</script><img src=http://evil.example/x>'
    line = json.dumps({"alert_id": content.name, "review": evil, "by": evil, "note": evil, "decided": "2025-01-31T10:00:00Z"})
    entry = replace(ENTRY, who=evil, detail=evil, recipient=evil, action=evil)  # type: ignore[arg-type]
    hostile = change_alert(content, admin_unit=evil, legal_status=evil, concession=evil, concession_ha=1.0, concession_pct=5.0)
    hostile = change_manifest(hostile, lambda manifest: manifest.update({"aoi": evil, "run_id": evil}))
    page = render_page(gather_facts(scanned, replace(hostile, decisions=(line.encode(),), entries=(entry,))), "en")
    tags = read_tags(page)
    assert {"script", "img", "iframe", "link", "object"}.isdisjoint(tag for tag, _ in tags)
    loaded = [value for _, values in tags for name, value in values.items() if name in ("src", "href", "xlink:href")]
    assert loaded
    assert all(str(value).startswith("data:image/jpeg;base64,") for value in loaded)
    assert not any(name.startswith("on") for _, values in tags for name in values)
    policies = [str(values["content"]) for tag, values in tags if values.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def read_tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the elements of a page as a browser would find them, with their attributes."""
    found: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, values: found.append((tag, dict(values)))  # type: ignore[method-assign]
    parser.feed(page)
    return found


def test_the_page_is_a_pdf_that_is_listed(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    pytest.importorskip("weasyprint", reason="WeasyPrint is not installed", exc_type=(ImportError, OSError))
    pdfium = pytest.importorskip("pypdfium2")
    watch = make_watch(tmp_path_factory, tmp_path)
    name = list_evidence(watch)[0].name
    answer = run("pack", name, "-w", watch.root, "-o", tmp_path / "out", "--for", "District court")
    assert answer.exit_code == 0
    assert answer.stderr == ""
    files = read_listed(Path(answer.stdout.strip()))
    digest = hashlib.sha256(files["evidence/manifest.json"]).hexdigest()
    with pdfium.PdfDocument(files["READ-ME-FIRST.pdf"]) as document:
        pages = [" ".join(page.get_textpage().get_text_range().split()) for page in document]
    assert "The ground changed between" in pages[0]
    assert all(digest in page for page in pages), "at the foot of every page"
    assert "for District court" in " ".join(pages)
    assert run("verify", answer.stdout.strip()).stderr == "", "no fault"


def read_listed(path: Path) -> dict[str, bytes]:
    """Return the files of a pack by name, after checking that its lists have all of them."""
    with zipfile.ZipFile(path) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert json.loads(files["pack.json"])["files"].keys() == files.keys() - {"pack.json", "SHA256SUMS"}
    sums = {line.partition("  ")[2] for line in files["SHA256SUMS"].decode().splitlines()}
    assert sums == files.keys() - {"SHA256SUMS"}
    return files


def test_where_no_pdf_can_be_made_the_page_is_html(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> bytes:
        raise ReportError("no PDF: a package is not installed; pip install 'minewatch[pdf]'")

    monkeypatch.setattr("minewatch.products.evidence.read_me.write.print_page", fail)
    watch = make_watch(tmp_path_factory, tmp_path)
    answer = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "-o", tmp_path / "out", "--lang", "es")
    assert answer.exit_code == 0
    assert "READ-ME-FIRST is HTML: no PDF: a package is not installed" in answer.stderr
    assert b'<html lang="es">' in read_listed(Path(answer.stdout.strip()))["READ-ME-FIRST.html"]


def test_evidence_that_cannot_be_shown_is_handed_over_and_that_is_told(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.products.evidence.read_me.facts.ALERT", "another.geojson")
    watch = make_watch(tmp_path_factory, tmp_path)
    answer = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "-o", tmp_path / "out")
    assert answer.exit_code == 0
    assert "the pack has no READ-ME-FIRST" in answer.stderr
    assert "evidence/alert.geojson" in read_listed(Path(answer.stdout.strip()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_of_the_page_hide_those_that_it_shares_with_reports(language: str) -> None:
    shared, own = read_texts(language), read_texts(language, FOLDER)
    assert not shared.words.keys() & own.words.keys()


def test_law_that_was_judged_otherwise_since_is_told(scanned: Workspace, content: PackContent) -> None:
    assert "legal status by then" not in read_page(scanned, content)
    text = read_page(scanned, change_alert(content, legal_status="expired", legal_reason=""))
    assert "legal status by then: unknown: " in text
