"""Adds tables to ``minewatch.toml`` and takes them out; everything else in it stays as its owner wrote it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import publishing
from minewatch.core.workspace import Workspace


def add_tables(workspace: Workspace, group: str, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Add tables ``[group.NAME]`` at the end of the settings, all or none; raises WorkspaceError where one is there already."""
    document = workspace.read_document()
    if there := next((name for name in tables if name in document.get(group, {})), None):
        raise WorkspaceError(f"{workspace.settings}: [{group}.{there}] is there already; remove it first, or choose another name")
    parts = [_read(workspace).rstrip()]
    for name, table in tables.items():
        parts.append("\n".join([f"[{group}.{name}]", *(f"{key} = {render_value(value)}" for key, value in table.items())]))
    expected = document | {group: document.get(group, {}) | {name: dict(table) for name, table in tables.items()}}
    _write(workspace, "\n\n".join(parts) + "\n", expected)


def remove_table(workspace: Workspace, group: str, name: str) -> None:
    """Take the table ``[group.name]`` out of the settings; comments before the next table stay.

    Raises WorkspaceError where there is none, or it is written in a way in which it cannot be told from the rest.
    """
    document = workspace.read_document()
    if name not in document.get(group, {}):
        raise WorkspaceError(f"{workspace.settings}: there is no [{group}.{name}]; nothing was changed")
    lines = _read(workspace).splitlines(keepends=True)
    heading = re.compile(rf"\s*\[\s*{re.escape(group)}\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]\s*(#.*)?")
    starts = [number for number, line in enumerate(lines) if heading.fullmatch(line.rstrip("\r\n"))]
    rest = {key: value for key, value in document[group].items() if key != name}
    expected = {key: value for key, value in document.items() if key != group} | ({group: rest} if rest else {})
    if len(starts) == 1:
        start = starts[0]
        end = next((n for n in range(start + 1, len(lines)) if re.match(r"\s*\[[^\]]*\]+\s*(#.*)?$", lines[n])), len(lines))
        while end < len(lines) and end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
            end -= 1
        kept = [*lines[:start], *lines[end:]]
        _write(workspace, "".join(kept).rstrip() + "\n", expected)
        return
    raise _make_error(workspace)


def render_value(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{render_value(str(key))} = {render_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(render_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else str(value)


def _read(workspace: Workspace) -> str:
    try:
        return workspace.settings.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{workspace.settings} cannot be read: {error}") from error


def _write(workspace: Workspace, text: str, expected: Mapping[str, Any]) -> None:
    """Replace the settings, provided that they say what they should."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = None
    if found is None or _plain(found) != _plain(expected):
        raise _make_error(workspace)
    path = workspace.settings.resolve()
    if b"\r\n" in path.read_bytes():
        text = re.sub(r"\r?\n", "\r\n", text)
    mode = path.stat().st_mode & 0o777
    with publishing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
    path.chmod(mode)


def _plain(value: Any) -> Any:
    """Return a value with lists in place of tuples, and without empty tables, which say nothing."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if not (isinstance(one, Mapping) and not one)}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _make_error(workspace: Workspace) -> WorkspaceError:
    return WorkspaceError(
        f"{workspace.settings} is written in a way that this command does not change; nothing was changed, edit the table by hand"
    )
