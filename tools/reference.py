"""Writes the reference pages of the docs from the program itself: docs/api.md, docs/cli.md and docs/settings.md."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import minewatch
from minewatch.alerts.context.declaration import Declaration
from minewatch.alerts.explain.record import Curve, Episode, ExplainedLook, Explanation
from minewatch.alerts.record import Alert
from minewatch.alerts.validate import Scores, TruthSite
from minewatch.areas.aoi import Aoi
from minewatch.areas.area_plan import AreaPlan
from minewatch.cli import main
from minewatch.cli.output import common_options
from minewatch.core.estimate import Estimate
from minewatch.detection.coverage import Coverage
from minewatch.operations.scan_report import AreaReport, FailedArea, ScanReport
from minewatch.settings.catalogues import ImageryTable, S3Table, SourceTable, TokenTable
from minewatch.settings.document import Settings
from minewatch.settings.impact import CountryTable, ImpactTable
from minewatch.settings.pipeline import Pipeline
from minewatch.settings.timestamps import TimestampsTable
from minewatch.settings.watching import NotifyTable, PruneTable, ScheduleTable, WatchTable
from minewatch.simulation.series import SimulatedSeries
from minewatch.simulation.settings import Simulation
from minewatch.sources.skipped import SkippedScene

DOCS = Path(__file__).parent.parent / "docs"

NOTE = "<!-- Written by `make reference`; edit the texts where they stand in the program. -->"

API = """``import minewatch`` gives these names, and loads each when it is first asked for.  They stay as they are; whatever lies
deeper in the package may move.  The notebook [first-scan](../notebooks/first-scan.ipynb) uses most of them.  Errors that a
user can mend are subclasses of ``MinewatchError``; each says in one sentence what is wrong and what to do."""

CLI = """``minewatch COMMAND --help`` shows the same.  Data goes to stdout, everything else to stderr.  Exit codes: 0 done, 1 an
error in one red line, 2 a command that is written wrongly; others stand with their commands."""

SETTINGS = """Unknown keys are errors, and so are values out of range: the message names the key, and the nearest known one."""

PIPELINES = """Every setting of a scan.  A key that is left out has its default; ``--set SECTION.KEY=VALUE`` changes one for a
single scan.  [The method](method.md) explains those of the detector."""

WORKSPACE = """No secret ever stands here: settings name environment variables that hold them.  ``minewatch init`` writes every
table as a comment, with an example."""

RECORDS: Sequence[type] = (
    Aoi, Simulation, SimulatedSeries, ScanReport, AreaReport, AreaPlan, Coverage, Alert, SkippedScene, FailedArea,
    Explanation, ExplainedLook, Episode, Curve, Scores, Estimate, TruthSite,
)  # fmt: skip
"""What the functions of the interface return or take, and what is in it."""

TABLES: Mapping[str, type[BaseModel]] = {
    "context.NAME": Declaration,
    "sources.NAME": SourceTable,
    "sources.NAME.s3": S3Table,
    "sources.NAME.token": TokenTable,
    "imagery.NAME": ImageryTable,
    "imagery.NAME.s3": S3Table,
    "imagery.NAME.token": TokenTable,
    "schedules.NAME": ScheduleTable,
    "watch": WatchTable,
    "notify.NAME": NotifyTable,
    "prune": PruneTable,
    "impact": ImpactTable,
    "impact.countries.CODE": CountryTable,
    "timestamps": TimestampsTable,
}
"""Tables of minewatch.toml; what is not in a table stands in Settings."""


# --- docs/api.md: the Python interface -------------------------------------------------------------------------------


def render_api() -> str:
    """Return the page of the Python interface: each name with its signature and docstring, and what it returns."""
    functions = [name for name in minewatch.__all__ if not inspect.isclass(getattr(minewatch, name))]
    parts = [
        "# The Python interface",
        NOTE,
        clean_text(API),
        "## Functions",
        *(render_function(name, getattr(minewatch, name)) for name in functions),
        "## Workspace",
        clean_text(minewatch.Workspace.__doc__),
        render_fields(minewatch.Workspace),
        "## What functions return",
        "Fields whose type has no table here belong to the inside of the program.",
        *(f"### {record.__name__}\n\n{clean_text(record.__doc__)}\n\n{render_fields(record)}" for record in RECORDS),
    ]
    return "\n\n".join(parts) + "\n"


def render_function(name: str, function: Callable[..., Any]) -> str:
    """Return a function's section."""
    signature = inspect.signature(function)
    arguments: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind == parameter.KEYWORD_ONLY and not any(argument.startswith("*") for argument in arguments):
            arguments.append("*")
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        arguments.append(f"{stars}{parameter.name}: {parameter.annotation}{default}")
    inside = "".join(f"    {argument},\n" for argument in arguments)
    head = f"minewatch.{name}(\n{inside}) -> {signature.return_annotation}"
    return f"### {name}\n\n```text\n{head}\n```\n\n{clean_text(function.__doc__)}"


def render_fields(record: type) -> str:
    """Return the table of a dataclass: fields, properties, methods."""
    rows = [(name, show_annotation(record, name), text) for name, text in read_field_texts(record).items()]
    for name, member in vars(record).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        function = member.fget if isinstance(member, property) else member
        signature = inspect.signature(function)
        arguments = "" if isinstance(member, property) else f"({', '.join(list(signature.parameters)[1:])})"
        rows.append((f"{name}{arguments}", str(signature.return_annotation), function.__doc__))
    return render_table(("name", "type", "meaning"), [(f"`{name}`", f"`{kind}`", clean_text(text)) for name, kind, text in rows])


def show_annotation(record: type, name: str) -> str:
    """Return the type of a field as it is written."""
    return next(str(found[name]) for parent in record.__mro__ if name in (found := inspect.get_annotations(parent)))


@functools.cache
def read_field_texts(record: type) -> dict[str, str]:
    """Return the docstring below each field of a class and those it inherits from."""
    texts: dict[str, str] = {}
    for parent in reversed([c for c in record.__mro__ if c.__module__.startswith("minewatch")]):
        body = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(node, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                assert isinstance(node.target, ast.Name)
                texts[node.target.id] = show_constants(str(below.value.value), sys.modules[parent.__module__])
    return texts


def show_constants(text: str, module: ModuleType) -> str:
    """Return a text with the values of the module's constants in place of their names."""

    def show(found: re.Match[str]) -> str:
        value = getattr(module, found[0], found[0])
        return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    return re.sub(r"\b[A-Z][A-Z0-9_]{4,}\b", show, text)


# --- docs/cli.md: commands -------------------------------------------------------------------------------------------


def render_cli() -> str:
    """Return the page of the commands: each with its usage, help, options and examples."""
    context = click.Context(main, info_name="minewatch", **main.context_settings)  # click keeps the help option of the first
    common = [describe_option(option, context) for option in list_common_options()]
    parts = [
        "# Commands",
        NOTE,
        clean_text(CLI),
        "Every command also takes:",
        "\n".join(common),
        *render_command(main, context),
    ]
    return "\n\n".join(parts) + "\n"


def list_common_options() -> list[click.Option]:
    """Return the options that every command takes."""

    @common_options
    def nothing() -> None:
        """Do nothing: only its options are looked at."""

    return [option for option in click.command()(nothing).params if isinstance(option, click.Option)]


def render_command(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the section of a command, and of those below it."""
    shared = {tuple(option.opts) for option in list_common_options()} if context.parent else set()
    options = [param for param in command.params if isinstance(param, click.Option) and tuple(param.opts) not in shared]
    text, _, example = inspect.cleandoc(command.help or "").partition("\b\n")
    yield f"## {context.command_path}"
    yield f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield clean_text(text)
    if options:
        yield "\n".join(describe_option(option, context) for option in options)
    lines = inspect.cleandoc(example.replace("Example:", "        ", 1)).replace("\b\n", "")
    if lines:
        yield f"```sh\n{textwrap.dedent(lines)}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from render_command(child, click.Context(child, context, name))


def describe_option(option: click.Option, context: click.Context) -> str:
    """Return an option as an item of a list."""
    names, text = option.get_help_record(context) or ("", "")
    return f"- `{names}`: {clean_text(text)}"


# --- docs/settings.md: pipelines and minewatch.toml ------------------------------------------------------------------


def render_settings() -> str:
    """Return the page of the settings: each key with its type, range, default and meaning."""
    plain = [name for name in Settings.model_fields if not any(table.partition(".")[0] == name for table in TABLES)]
    parts = [
        "# Settings",
        NOTE,
        clean_text(SETTINGS),
        "## Pipelines: pipelines/NAME.toml",
        clean_text(PIPELINES),
    ]
    for name, field in Pipeline.model_fields.items():
        assert field.annotation is not None
        parts += [f"### [{name}]", clean_text(field.annotation.__doc__), render_keys(field.annotation)]
    parts += [
        "## The workspace: minewatch.toml",
        clean_text(WORKSPACE),
        "### At the top",
        render_keys(Settings, plain),
    ]
    for name, table in TABLES.items():
        parts += [f"### [{name}]", describe_table(table), render_keys(table)]
    return "\n\n".join(parts) + "\n"


def render_keys(table: type[BaseModel], names: Sequence[str] = ()) -> str:
    """Return the table of the keys of a settings class."""
    schema = table.model_json_schema()
    texts = read_field_texts(table)
    rows = []
    for name in names or table.model_fields:
        field, facts = table.model_fields[name], schema["properties"][name]
        default = "required" if field.is_required() else show_default(field.get_default(call_default_factory=True))
        meaning = field.description or texts[name]
        if facts.get("type") != "object" and "$ref" not in str(facts):
            rows.append((f"`{name}`", describe_type(facts), default, clean_text(meaning)))
    return render_table(("key", "value", "default", "meaning"), rows)


def describe_table(table: type[BaseModel]) -> str:
    """Return what a table is for, from its docstring, which begins with its name."""
    text = clean_text(table.__doc__).partition("`: ")[2] or clean_text(table.__doc__)
    return text[:1].upper() + text[1:]


def show_default(value: Any) -> str:
    """Return a default as TOML has it."""
    if value is None or value is PydanticUndefined:
        return "not set"
    return f"`{json.dumps(value)}`"


def describe_type(facts: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if choices := [choice for choice in facts.get("anyOf", ()) if choice.get("type") != "null"]:
        return " or ".join(dict.fromkeys(describe_type(choice) for choice in choices))
    if values := facts.get("enum"):
        return ", ".join(f'`"{value}"`' for value in values)
    if facts["type"] == "array":
        items = facts.get("items") or facts["prefixItems"][0]
        length = f" of {facts['minItems']}" if "prefixItems" in facts else ""
        return f"list{length}: {describe_type(items)}"
    if facts["type"] == "object":
        return f"table of {describe_type(facts['additionalProperties'])}"
    name = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}[facts["type"]]
    name = "date" if facts.get("format") == "date" else name
    low, high = facts.get("minimum"), facts.get("maximum")
    if low is not None:
        return f"{name}, {low:g} to {high:g}" if high is not None else f"{name}, {low:g} or more"
    return f"{name} above {facts['exclusiveMinimum']:g}" if "exclusiveMinimum" in facts else name


# --- all pages -------------------------------------------------------------------------------------------------------


def clean_text(text: str | None) -> str:
    """Return a docstring as Markdown: code between single backticks, paragraphs on one line each."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.cleandoc(text or "")).replace("``", "`")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def render_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[" ".join(cell.replace("|", r"\|").split()) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


PAGES: Mapping[str, Callable[[], str]] = {"api.md": render_api, "cli.md": render_cli, "settings.md": render_settings}
"""File in docs to what writes it."""


def write_pages() -> None:
    """Write every page."""
    for name, render in PAGES.items():
        (DOCS / name).write_text(render(), "utf-8")


if __name__ == "__main__":
    write_pages()
