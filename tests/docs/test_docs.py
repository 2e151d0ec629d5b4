"""What README and docs say is true: commands exist, links resolve, tables are complete, examples can be read."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import geopandas as gpd
import pytest
import shapely

from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_files import list_aois
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.settings.document import read_settings
from minewatch.settings.pipeline import Pipeline, read_pipeline, render_pipeline
from minewatch.settings.template import TEMPLATE
from tests.helpers.places import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
WORKSPACE = Workspace(ROOT)
PICTURE_BYTES = 500_000
README_WORDS = 1_800
AMAZON = {"kayapo": "Kayapó", "la-pampa": "", "sarare": "Sararé", "yanomami": "Yanomami"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- commands --------------------------------------------------------------------------------------------------------


WRONG = re.compile(r"^<!-- wrong on purpose -->\n+```sh\n.*?^```", re.DOTALL | re.MULTILINE)
"""Commands that a page shows with the errors that they give; the page is lived in journeys/test_first_month.py."""


def code_lines(text: str) -> Iterator[str]:
    text = WRONG.sub("", text)
    for block in re.findall(r"^```(?:sh|cron|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from block.splitlines()
    yield from re.findall(
        r"`((?:minewatch|python cli\.py|make) [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    )


def shell_commands(line: str) -> Iterator[list[str]]:
    """Split a line into the commands that a shell would run, without redirections."""
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), ";"]:
        if word in ("&&", "||", "|", ";") or word.startswith(">"):
            if words:
                yield words
            words = []
        else:
            words.append(word)


def documented_commands(program: str) -> list[tuple[str, tuple[str, ...]]]:
    found = {}
    for page in PAGES:
        for line in code_lines(page.read_text("utf-8")):
            for words in shell_commands(line.replace("python cli.py", "minewatch")):
                at = next((i for i, word in enumerate(words) if Path(word).name == program), None)
                if at is not None:
                    found[tuple(words[at + 1 :])] = name_of(page)
    return [(page, words) for words, page in found.items()]


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Parse as click would, without running anything; raises ClickException for what it would refuse."""
    if not isinstance(command, click.Group):
        command.make_context(command.name, words, parent)
        return
    context = click.Context(command, parent, command.name, **command.context_settings)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    if rest:
        name, child, rest = command.resolve_command(context, rest)
        assert child is not None, name
        parse(child, rest, context)


@pytest.mark.parametrize(
    ("page", "words"), documented_commands("minewatch"), ids=lambda value: " ".join(value) if isinstance(value, tuple) else None
)
def test_documented_command_parses(page: str, words: tuple[str, ...]) -> None:
    try:
        parse(main, [word for word in words if word != "COMMAND"])
    except click.exceptions.Exit:
        pass  # --help
    except click.ClickException as error:
        pytest.fail(f"{page}: minewatch {' '.join(words)}: {error.format_message()}")


def test_commands_are_found_in_the_pages() -> None:
    """Guards the search itself: the README's three main commands are among what is parsed."""
    starts = {words[0] for _, words in documented_commands("minewatch") if words}
    assert {"init", "aoi", "scan", "alerts", "pipeline", "validate"} <= starts


def test_unknown_option_is_refused() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(main, ["scan", "--sinse", "2024-01-01"])
    with pytest.raises(click.UsageError):
        parse(main, ["scam"])


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    used = {words[0] for _, words in documented_commands("make") if words}
    assert {"demo", "test", "setup", "check"} <= used <= targets


# --- links -----------------------------------------------------------------------------------------------------------


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)} links to {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, new = set(), [ROOT / "README.md"]
    while new:
        page = new.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        new += [target for target in targets - reached if target.suffix == ".md"]
    assert reached == set(PAGES)


def test_index_links_every_page_accuracy_and_speed_first() -> None:
    index = ROOT / "docs" / "index.md"
    pages = [target for link in links(index) if (target := (index.parent / link).resolve()).suffix == ".md"]
    assert {page for page in PAGES if page.is_relative_to(index.parent)} - {index} <= set(pages)
    assert [page.name for page in pages[:2]] == ["accuracy.md", "speed.md"]


def test_readme_is_read_in_five_minutes() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= README_WORDS


def test_pages_named_in_the_code_exist() -> None:
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "minewatch").rglob("*.py"))]
    assert all((ROOT / name).is_file() for text in texts for name in re.findall(r"docs/[\w/.-]+\.md", text))


def test_picture_is_small() -> None:
    picture = ROOT / "docs" / "images" / "demo.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size < PICTURE_BYTES


# --- tables ----------------------------------------------------------------------------------------------------------


ARCHITECTURE = ROOT / "docs" / "architecture.md"


def section(title: str) -> str:
    text = ARCHITECTURE.read_text("utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_layout_names_every_room() -> None:
    folder = ROOT / "minewatch"
    rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
    rows = [line.split("|")[1] for line in section("Layout").splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == rooms


def test_architecture_names_files_that_exist() -> None:
    named = set(re.findall(r"`([\w/]+/[\w.]+)`", ARCHITECTURE.read_text("utf-8")))
    assert len(named) > 60
    assert {name for name in named if not (ROOT / "minewatch" / name).exists() and not (ROOT / name).exists()} == set()


def test_every_package_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    declared = [*project["project"]["dependencies"], *(line for lines in extras.values() for line in lines)]
    declared += [*project["dependency-groups"]["dev"], *project["build-system"]["requires"]]
    text = section("Packages, and why each is there")
    names = [re.split(r"[^\w-]", line)[0] for line in declared]
    missing = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)]
    assert missing == []
    assert [extra for extra in extras if f"extra `{extra}`" not in text] == []


# --- the repository as a workspace -----------------------------------------------------------------------------------


def test_default_pipeline_is_the_rendered_defaults() -> None:
    text = (WORKSPACE.pipelines / "default.toml").read_text("utf-8")
    assert text == render_pipeline(Pipeline(), comment_defaults=True), "write it anew, as CONTRIBUTING.md says"
    assert read_pipeline(WORKSPACE, "default") == Pipeline()


def test_method_names_settings_that_exist() -> None:
    known = {name for section_name, values in Pipeline().model_dump().items() for name in (section_name, *values)}
    text = (ROOT / "docs" / "method.md").read_text("utf-8")
    used = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", text)) - {"code"}
    assert used
    assert used <= known


def test_settings_are_the_template() -> None:
    assert WORKSPACE.settings.read_text("utf-8") == TEMPLATE.format(source=json.dumps(read_settings(WORKSPACE).source))


@pytest.mark.parametrize("name", list_aois(WORKSPACE))
def test_area_is_usable(name: str) -> None:
    area = read_aoi(WORKSPACE, name)
    assert 50 <= area.area_km2 <= 400
    assert area.repairs == ()
    assert read_pipeline(WORKSPACE, area.pipeline)
    assert all(area.properties[key] for key in ("title", "country", "source"))


@pytest.mark.shared
@pytest.mark.parametrize("name", AMAZON)
def test_amazon_area_holds_mapped_mining(name: str, shared: Path) -> None:
    """Where it is named after an indigenous territory it lies inside that territory's outline."""
    layers = shared / "data" / "context-layers"
    outline = read_aoi(WORKSPACE, name).geometry
    mines = gpd.read_file(layers / "amazon-mining-watch_2025Q3.geojson")
    assert mines.intersects(outline).sum() >= 2
    if AMAZON[name]:
        territories = gpd.read_file(layers / "indigenous-territories.geojson")
        land = shapely.make_valid(territories[territories["name_field"] == AMAZON[name]].union_all())
        assert outline.intersection(land).area > 0.999 * outline.area
