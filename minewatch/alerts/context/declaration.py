"""Context layers as ``minewatch.toml`` declares them: ``[context.NAME]``."""

from __future__ import annotations

import codecs
import datetime as dt
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pyproj import CRS
from pyproj.exceptions import CRSError

from minewatch.alerts.context.standing import ORDER, Choice, list_columns
from minewatch.alerts.context.terms import CONCESSION, KINDS
from minewatch.core.errors import ContextError, WorkspaceError
from minewatch.core.text import suggest
from minewatch.core.workspace import Workspace, check_name
from minewatch.settings.document import read_settings


class Declaration(BaseModel):
    """What ``[context.NAME]`` says of a layer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(min_length=1)
    """Path; a relative one counts from the workspace, or from its folder ``context``."""

    kind: str
    """One of KINDS."""

    layer: str | None = None
    """Which layer of the file; may be left out where there is only one."""

    name: str | None = None
    """Column with the name of each feature; left out, the layer's own name stands for it."""

    id: str | None = None
    """Concessions: column with what the register calls each of them."""

    valid_from: str | dt.date | None = None
    """Concessions: column with the first day of validity, or one date for the whole layer."""

    valid_to: str | dt.date | None = None
    """Concessions: column with the last day of validity, or one date for the whole layer."""

    open_ended: bool = False
    """Concessions: an empty or undeclared ``valid_to`` means that there is no last day."""

    applied: str | None = None
    """Concessions: column with the day on which each was applied for; titles whose first day is not stated begin no earlier."""

    date_format: str | None = None
    """How dates are written, such as %d/%m/%Y, or milliseconds (since 1970); left out, year-month-day."""

    titles: Choice = False
    """Concessions: rows that allow extraction: the words in their columns, or true for all that are nothing else."""

    exploration: Choice = False
    """Concessions: rows that allow to explore, not to extract."""

    applications: Choice = False
    """Concessions: rows of ground that was asked for and not granted."""

    lapsed: Choice = False
    """Concessions: rows that have ended."""

    as_of: dt.date | None = None
    """Concessions: the day whose state the register shows; left out, the day on which the file was last modified."""

    encoding: str | None = None
    """Of the text; left out, what the file says."""

    credit: str | None = Field(None, min_length=1, max_length=200)
    """The credit that the layer's licence requires: exports state it."""

    crs: str | None = None
    """The coordinate reference system, where the file has none or a wrong one."""

    @field_validator("kind")
    @classmethod
    def _check_kind(cls, value: str) -> str:
        if value not in KINDS:
            raise ValueError(f"unknown kind {value!r}{suggest(value, KINDS, 'kinds')}")
        return value

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str | None) -> str | None:
        try:
            return value if value is None else codecs.lookup(value).name
        except LookupError:
            raise ValueError(f"unknown encoding {value!r}; common ones are utf-8, cp1252 and iso-8859-1") from None

    @field_validator("crs")
    @classmethod
    def _check_crs(cls, value: str | None) -> str | None:
        try:
            CRS.from_user_input(value or 4326)
        except CRSError:
            raise ValueError(f"unknown coordinate reference system {value!r}; write it as EPSG:32719") from None
        return value

    @field_validator("titles", "exploration", "applications", "lapsed", mode="before")
    @classmethod
    def _read_choice(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        tables = value if isinstance(value, list | tuple) else [value]
        if not tables or not all(isinstance(table, Mapping) and table for table in tables):
            raise ValueError('write the columns and their words, { STATUS = ["Active", "Granted*"] }, a list of such, or true')
        return tuple({str(column): _read_words(column, words) for column, words in table.items()} for table in tables)

    @model_validator(mode="after")
    def _check_dates(self) -> Declaration:
        dated = self.valid_from or self.valid_to or self.open_ended or self.date_format or self.applied or self.as_of
        if dated and self.kind != CONCESSION:
            raise ValueError(f"dates are for concessions; a layer of kind {self.kind} has none")
        if self.id and self.kind != CONCESSION:
            raise ValueError(f"id is for concessions; a layer of kind {self.kind} has none")
        if self.choices and self.kind != CONCESSION:
            raise ValueError(f"{next(iter(self.choices))} is for concessions; a layer of kind {self.kind} has none")
        if self.open_ended and self.valid_to is None and not self.choices:
            raise ValueError("open_ended says what an empty valid_to means; name that column as valid_to")
        if len(rest := [key for key, choice in self.choices.items() if choice is True]) > 1:
            raise ValueError(f"{' and '.join(rest)} cannot both be true: each row is one of them")
        if isinstance(self.valid_from, dt.date) and isinstance(self.valid_to, dt.date) and self.valid_to < self.valid_from:
            raise ValueError("valid_to is before valid_from")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """What is read of each feature: key of the declaration to column."""
        dates = {"valid_from": self.valid_from, "valid_to": self.valid_to, "applied": self.applied}
        keys = {"name": self.name, "id": self.id, **dates}
        status = {f"status {number}": column for number, column in enumerate(list_columns(self.choices), 1)}
        return {key: column for key, column in keys.items() if isinstance(column, str)} | status

    @property
    def choices(self) -> dict[str, Choice]:
        """Which rows are what, by key; empty where every row is a title."""
        return {key: choice for _, key in ORDER if (choice := getattr(self, key))}


def _read_words(column: Any, words: Any) -> tuple[str, ...]:
    listed = [words] if isinstance(words, str | int) else words
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(word, str | int) for word in listed):
        raise ValueError(f'{column}: list the words that stand in the column, such as ["Active", "Granted*"]')
    return tuple(map(str, listed))


def read_declarations(workspace: Workspace) -> dict[str, Declaration]:
    """Return the layers that the workspace declares, by name; raises ContextError naming the first fault."""
    return {name: _check(workspace, name, table) for name, table in read_settings(workspace).context.items()}


def check_declaration(where: str, table: Mapping[str, Any]) -> Declaration:
    """Return what a table declares; raises ContextError that begins with ``where`` and names the first fault."""
    try:
        return Declaration.model_validate(table)
    except ValidationError as error:
        raise ContextError(f"{where}: {_explain(error)}") from error


def _check(workspace: Workspace, name: str, table: Any) -> Declaration:
    where = f"{workspace.settings}: [context.{name}]"
    if not isinstance(table, Mapping):
        raise ContextError(f"{workspace.settings}: context.{name}: write each layer as a table of its own, headed [context.NAME]")
    try:
        check_name("a context layer", name)
    except WorkspaceError as error:
        raise ContextError(f"{where}: {error}") from error
    return check_declaration(where, table)


def _explain(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    key = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        return f"unknown key {key!r}{suggest(key, Declaration.model_fields, 'keys')}"
    if fault["type"] == "missing":
        choice = f" (one of {', '.join(KINDS)})" if key == "kind" else ""
        return f"the key {key!r} is missing{choice}"
    if key in ("valid_from", "valid_to"):
        return f"{key}: give the name of a column in quotes, or one date for the whole layer ({key} = 2020-01-31)"
    if fault["type"] == "string_type":
        return f"{key}: give text in quotes"
    text = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {text}" if key else text
