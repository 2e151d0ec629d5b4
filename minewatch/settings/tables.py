"""The base of all tables of the settings: unknown keys are errors, and secrets are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from minewatch.core.errors import WorkspaceError
from minewatch.core.url_policy import hide_secrets
from minewatch.core.workspace import check_name

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
"""The name of an environment variable."""

_KEYLIKE = re.compile(r"[A-Z0-9]{16,}")
"""Looks like an access key: refused as a name, so that no key is written into the file."""


class Table(BaseModel):
    """A table of the file: unknown keys are errors; errors never show a value, which may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def check_variable(value: str) -> str:
    """Return the name of an environment variable; raises ValueError for what may be a secret."""
    if not _VARIABLE.fullmatch(value) or _KEYLIKE.fullmatch(value):
        raise ValueError(
            "give the name of an environment variable (capitals, digits and _, such as OURS_ADDRESS), never what it holds; "
            "if a secret is written there, remove it and have it replaced"
        )
    return value


def check_address(value: str) -> str:
    """Return an address; raises ValueError where it has a login or query, which may be secret."""
    if hide_secrets(value) != value:
        raise ValueError("give an address without a login and without what follows a ? or #: never write secrets here")
    return value


def check_names(kind: str, names: Iterable[str]) -> None:
    """Check the names of tables; raises ValueError for one that cannot safely be a file's name."""
    for name in names:
        try:
            check_name(kind, name)
        except WorkspaceError as error:
            raise ValueError(str(error)) from None
