"""The built-in pipelines: TOML files of this package, whose heads say what was measured with them."""

from __future__ import annotations

from pathlib import Path

BUILT_IN = ("default", "early", "cautious")
"""Their names; a file of the same name in a workspace takes the place of one."""


def find_built_in(name: str) -> Path:
    """Return the file of a built-in pipeline."""
    return Path(__file__).parent / "pipelines" / f"{name}.toml"


def read_head(name: str) -> list[str]:
    """Return the comment at the top of a built-in pipeline's file: a sentence on what it is for, then what was measured."""
    lines = find_built_in(name).read_text("utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line[1:].removeprefix(" ") for line in lines[:end]]
