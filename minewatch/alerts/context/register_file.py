"""Makes the declaration of a register's file: which column is what, how its text and dates are written, which words mean what."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyogrio

from minewatch.alerts.context.cells import MILLISECONDS, read_date, read_line, read_text
from minewatch.alerts.context.declaration import Declaration, check_declaration
from minewatch.alerts.context.features import Features, read_features
from minewatch.alerts.context.layer import find_file, inspect_layer, make_text_error, open_layer, without_warnings
from minewatch.alerts.context.presets import KEYS, SYNONYMS, Preset
from minewatch.alerts.context.standing import ORDER, Words, find_standing, fold, list_columns
from minewatch.alerts.context.terms import ALWAYS, CONCESSION, NEVER, STANDINGS, UNREAD
from minewatch.core.errors import ContextError, MapFileError
from minewatch.core.map_file import check_map_file, list_map_layers
from minewatch.core.workspace import Workspace

_FORMATS = (None, MILLISECONDS, "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y")
"""Ways of writing dates that are tried; of those that read as many cells the first: registers write the day before the month."""

_ENCODINGS = (None, "utf-8", "cp1252")
"""Encodings that are tried for formats whose files often state a wrong one."""

_OLD_FORMATS = ("ESRI Shapefile", "MapInfo File")

_GARBLED = re.compile("\ufffd|[ÃÂ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
"""UTF-8 that was read as another encoding."""

_MOST_GUESSES, _MOST_WORDS, _EXAMPLES = 3, 12, 3

_SHORT = 2
"""Letters of names that are too short to be looked for within others."""


@dataclass(frozen=True)
class RegisterChoice:
    """What the user says of a register's file."""

    file: str
    """Path, as it is to be declared."""

    preset: Preset
    """How it writes itself."""

    layer: str | None = None
    """Of the file; None = the only one."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Key of a declaration, or a status column of the preset, to the column of the file."""

    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Key of ORDER to words, or COLUMN=WORD, that mean it."""

    rows: str | None = None
    """Key of ORDER that all rows are."""

    encoding: str | None = None
    """None = found out."""

    crs: str | None = None
    """None = as the file states, else as the preset does."""

    date_format: str | None = None
    """None = found out."""

    as_of: dt.date | None = None
    """None = when the file was last modified."""


@dataclass(frozen=True)
class RegisterCount:
    """What is in a layer of a register."""

    layer: str
    """Name of the declared layer."""

    rows: int
    """That can be used."""

    standings: Mapping[str, int]
    """Rows of each of STANDINGS."""

    dated: int
    """Rows with a known time of validity, and applications."""

    examples: tuple[tuple[str, ...], ...]
    """Up to three rows: name, id, standing, words of the register, dates."""

    unread: Mapping[str, int]
    """Words of the rows whose status is not read, the most frequent first, to their number."""

    faults: tuple[str, ...]
    """What was repaired or left out."""


def list_register_layers(workspace: Workspace, file: str) -> list[str]:
    """Return the layers with shapes of a file, by name; raises ContextError where it cannot be read."""
    path = find_file(workspace, file, "context add")
    try:
        check_map_file(path)
        with without_warnings():
            return [name for name, kind in list_map_layers(path).items() if kind is not None]
    except (MapFileError, pyogrio.errors.DataSourceError) as error:
        raise ContextError(f"{path} cannot be read as a map layer: {error}") from error


def declare_register(workspace: Workspace, name: str, choice: RegisterChoice) -> dict[str, Any]:
    """Return the table ``[context.NAME]`` for a register's file.

    Raises ContextError where the file cannot be read, or a column or the meaning of its words is to be named first.
    """
    base: dict[str, Any] = {"file": choice.file, "kind": CONCESSION} | ({"layer": choice.layer} if choice.layer else {})
    said = {key: one for key, one in (("encoding", choice.encoding), ("crs", choice.crs)) if one}
    path, info = inspect_layer(workspace, name, check_declaration(f"context layer {name!r}", base | said))
    fields = [str(one) for one in info["fields"]]
    if crs := choice.crs or (None if info["crs"] else choice.preset.crs):
        base["crs"] = crs
    if not fields and path.suffix.lower() == ".shp":
        raise ContextError(f"{path} has no columns: the .dbf that belongs to it is missing or damaged; put it beside the .shp")
    columns = _choose_columns(choice, fields, path, str(info["layer_name"]))
    named = {key: columns[key] for key in KEYS if key in columns}
    table = base | named | _choose_rows(choice, columns, fields, path, str(info["layer_name"]), workspace, base)
    if choice.preset.open_ended:
        table["open_ended"] = True
    if choice.as_of:
        table["as_of"] = choice.as_of
    if info["driver"] in _OLD_FORMATS and not choice.encoding:
        encodings: Sequence[str | None] = _ENCODINGS
    else:
        encodings = (choice.encoding,)
    table = _choose_encoding(workspace, name, table, encodings)
    dates = [column for key, column in named.items() if key in ("applied", "valid_from", "valid_to")]
    formatted = choice.date_format or _find_format(_read_cells(workspace, name, table, dates), choice.preset.date_format)
    return table | ({"date_format": formatted} if formatted and dates else {})


def count_register(workspace: Workspace, name: str, table: Mapping[str, Any]) -> RegisterCount:
    """Read a declared layer to its end and count what its rows are."""
    features = read_features(open_layer(workspace, name, Declaration.model_validate(table)))
    rows = features.rows
    found = Counter(row.standing for row in rows)
    first = {row.standing: index for index, row in reversed(list(enumerate(rows)))}
    chosen = list(dict.fromkeys([*(first[one] for one in STANDINGS if one in first), *range(len(rows))]))[:_EXAMPLES]
    return RegisterCount(
        layer=name,
        rows=len(rows),
        standings={standing: found[standing] for standing in STANDINGS},
        dated=sum(row.period is not None or row.applied is not None for row in rows),
        examples=tuple(_describe_row(features, index) for index in sorted(chosen)),
        unread=dict(Counter(row.words for row in rows if row.standing == UNREAD).most_common(_MOST_WORDS)),
        faults=tuple(features.describe_faults()),
    )


def _describe_row(features: Features, index: int) -> tuple[str, ...]:
    row, name = features.rows[index], features.names[index]
    first, last = row.period or (None, None)
    said = (
        f"applied {row.applied}" if row.applied else "",
        f"from {first}" if first and first != ALWAYS else "",
        f"to {last}" if last and last != NEVER else "never ends" if last else "",
    )
    return name, row.id, row.standing, row.words, ", ".join(filter(None, said))


# --- columns ---------------------------------------------------------------------------------------------------------


def _choose_columns(choice: RegisterChoice, fields: Sequence[str], path: Path, layer: str) -> dict[str, str]:
    """Return the column of each key and of each status column of the preset that the file has."""
    preset, found = choice.preset, dict[str, str]()
    missing: list[str] = []
    known = {**preset.columns, **preset.status}
    for key, column in choice.columns.items():
        if key not in {*KEYS, *preset.status}:
            raise ContextError(f"--column {key}=…: there is no key {key!r}; known: {', '.join((*KEYS, *preset.status))}")
        if column not in fields:
            raise ContextError(f"{path} has no column {column!r}{_guess((column,), fields)}")
        found[key] = column
    lower = {one.lower(): one for one in reversed(fields)}
    needed = {*preset.needed, *list(preset.status)[: 0 if choice.rows else 1]}
    for key, names in known.items():
        if key in found:
            continue
        there = next((lower[one.lower()] for one in names if one.lower() in lower), "")
        if there:
            found[key] = there
        elif key in needed and not (key in preset.status and _is_asked(choice, layer, path)):
            missing.append(f"{names[0]} ({key}){_guess((*names, *SYNONYMS.get(key, SYNONYMS['status'])), fields)}")
    if missing:
        keys = " ".join(f"--column {line.split('(')[1].split(')')[0]}=COLUMN" for line in missing)
        raise ContextError(f"{path} has no column {'; '.join(missing)}; say which it is: {keys}")
    return found


def _find_near(names: Iterable[str], fields: Sequence[str]) -> list[str]:
    """Return the columns that are most like some names, the nearest first."""
    lower = {one.lower(): one for one in reversed(fields)}
    wanted = [name.lower() for name in names]
    near = [one for name in wanted for one in difflib.get_close_matches(name, lower, n=_MOST_GUESSES, cutoff=0.7)]
    near += [one for name in wanted if len(name) > _SHORT for one in lower if name in one]
    return [lower[one] for one in dict.fromkeys(near)][:_MOST_GUESSES]


def _guess(names: Iterable[str], fields: Sequence[str]) -> str:
    """Name the columns that are most like some names, else all."""
    near = _find_near(names, fields)
    return f"; the nearest: {', '.join(near)}" if near else f"; it has: {', '.join(fields) or 'none'}"


# --- rows ------------------------------------------------------------------------------------------------------------


def _is_asked(choice: RegisterChoice, layer: str, path: Path) -> bool:
    """True if the layer or the file is named as one of applications."""
    return any(word in fold(f"{layer} {path.stem}") for word in choice.preset.asked_layers)


def _choose_rows(
    choice: RegisterChoice,
    columns: Mapping[str, str],
    fields: Sequence[str],
    path: Path,
    layer: str,
    workspace: Workspace,
    base: Mapping[str, Any],
) -> dict[str, Any]:
    """Return which rows are what, as keys of a declaration."""
    status = {key: columns[key] for key in choice.preset.status if key in columns}
    tables = {key: found for key, one in choice.preset.choices.items() if (found := _rename(one, status))}
    for key, words in choice.words.items():
        for word in words:
            column, _, text = word.rpartition("=")
            column = column or next(iter(status.values()), "")
            if column not in fields:
                raise ContextError(f"{path}: --{key} {word!r}: write COLUMN=WORD{_guess((column or 'status',), fields)}")
            tables.setdefault(key, []).append({column: [text]})
    if choice.rows in choice.words:
        raise ContextError(f"--rows {choice.rows} says that all rows are {choice.rows}; leave --{choice.rows} out, or --rows")
    if choice.rows or _is_asked(choice, layer, path):
        kept = {"lapsed"} if choice.rows in (None, "applications") else set()
        others = {key: one for key, one in tables.items() if key in kept | (choice.words.keys() if choice.rows else set())}
        return {choice.rows or "applications": True, **others}
    if not tables:
        raise _ask_for_words(path, fields, workspace, base)
    return {key: tables[key][0] if len(tables[key]) == 1 else tables[key] for _, key in ORDER if key in tables}


def _rename(choice: tuple[Words, ...], status: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return words with the file's columns; what asks for a column that is not there is left out."""
    return [{status[key]: list(words) for key, words in table.items()} for table in choice if status.keys() >= table.keys()]


def _ask_for_words(path: Path, fields: Sequence[str], workspace: Workspace, base: Mapping[str, Any]) -> ContextError:
    """Make the error that shows what the file has, and how to say what it means."""
    guesses = {key: _find_near(words, fields) for key, words in SYNONYMS.items()}
    status = next(iter(guesses["status"]), "")
    cells = _read_cells(workspace, "context add", base, [status]) if status else []
    words = Counter(map(read_line, cells)).most_common(_MOST_WORDS)
    seen = "".join(f"; {status} holds " + ", ".join(f"{word!r} ({count})" for word, count in words) for _ in words[:1])
    meant = "; ".join(f"{key}: {', '.join(near) or '?'}" for key, near in guesses.items())
    return ContextError(
        f"{path}: say which rows allow extraction, for example --titles {status or 'COLUMN'}=WORD (also --exploration, "
        f"--applications and --lapsed; --rows titles where all do), and which column is what, for example --column id=COLUMN. "
        f"It has {', '.join(fields) or 'no columns'}; perhaps {meant}{seen}"
    )


# --- text and dates --------------------------------------------------------------------------------------------------


def _read_cells(workspace: Workspace, name: str, table: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
    """Return the cells of some columns, one after the other, without those that are empty."""
    if not columns:
        return []
    found = _read_columns(workspace, name, Declaration.model_validate(table), columns)
    return [cell for cells in found for cell in cells if read_text(cell)]


def _find_format(cells: Sequence[Any], preset: str | None) -> str | None:
    """Return how dates are written: the way that reads most of them."""
    formats = dict.fromkeys([preset, *_FORMATS])
    return max(formats, key=lambda one: sum(read_date(cell, one) is not None for cell in cells)) if cells else preset


def _choose_encoding(workspace: Workspace, name: str, table: dict[str, Any], encodings: Sequence[str | None]) -> dict[str, Any]:
    """Return the table with the encoding under which most statuses are read and least text is garbled."""
    if len(encodings) == 1:
        return table | ({"encoding": encodings[0]} if encodings[0] else {})
    tried: list[tuple[int, int, dict[str, Any]]] = []
    faults: list[ContextError] = []
    for encoding in encodings:
        candidate = table | ({"encoding": encoding} if encoding else {})
        try:
            tried.append((*_count_unread(workspace, name, candidate), candidate))
        except ContextError as error:
            faults.append(error)
    if not tried:
        raise faults[0]
    return min(tried, key=lambda one: one[:2])[2]


def _count_unread(workspace: Workspace, name: str, table: Mapping[str, Any]) -> tuple[int, int]:
    """Return in how many rows the status is not read, and in how many text is garbled."""
    declaration = Declaration.model_validate(table)
    status = list_columns(declaration.choices)
    named = [*status, *([declaration.name] if declaration.name else [])]
    found = Counter(zip(*(map(read_line, cells) for cells in _read_columns(workspace, name, declaration, named)), strict=True))
    unread = garbled = 0
    for row, count in found.items():
        unread += count * (find_standing(dict(zip(status, row, strict=False)), declaration.choices) == UNREAD)
        garbled += count * bool(_GARBLED.search(" ".join(row)))
    return unread, garbled


def _read_columns(workspace: Workspace, name: str, declaration: Declaration, columns: Sequence[str]) -> list[Sequence[Any]]:
    """Return the cells of some columns; raises ContextError where the text is in another encoding."""
    path, info = inspect_layer(workspace, name, declaration)
    choice = {"columns": list(dict.fromkeys(columns)), "encoding": declaration.encoding}
    try:
        with without_warnings():
            meta, _, _, data = pyogrio.raw.read(
                path, layer=info["layer_name"], read_geometry=False, datetime_as_string=True, **choice
            )
    except UnicodeDecodeError as error:
        raise make_text_error(f"context layer {name!r}", declaration, error) from error
    found = dict(zip(map(str, meta["fields"]), data, strict=True))
    return [found[column] for column in columns]
