"""Spoils documents and files in ways that nobody thought of, within a time budget."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

LONGEST_SECONDS = 5.0
"""Of one example: more is a hang."""

SECONDS = float(os.environ.get("FUZZ_SECONDS") or 1)
"""Of one fuzz; FUZZ_SECONDS=60 looks longer than the suite does."""

fuzzing = settings(
    max_examples=int(100 * SECONDS), deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
"""Many examples, other ones on each run; a failure is printed so that it can be repeated."""

odd_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [10**400, -1, 0, 2**63, float("nan"), float("inf"), -float("inf"), 1e308, "", "\x1b[2J", "\ud800", "\u202e"]
    )
    | st.floats()
    | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
"""What JSON can hold, and what it should not."""


class Budget:
    """Ends a fuzz after so many seconds, and an example that hangs with an error."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.end = time.monotonic() + seconds

    def run(self, action: Callable[[], Any]) -> None:
        """Run one example; does nothing once the time is over."""
        began = time.monotonic()
        if began < self.end:
            action()
            assert time.monotonic() - began < LONGEST_SECONDS


def list_places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document, its own too."""
    yield path
    entries = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in entries:
        yield from list_places(value, (*path, key))


def find_value(document: Any, path: tuple[Any, ...]) -> Any:
    """Return the value at a path."""
    for step in path:
        document = document[step]
    return document


def write_toml(document: Any) -> str:
    """Write a table as TOML, each of its values on one line; raises TypeError for what TOML cannot hold."""
    if not isinstance(document, dict):
        raise TypeError(type(document))
    return "".join(f"{json.dumps(key)} = {_write_value(value)}\n" for key, value in document.items())


def _write_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_write_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    if value is None:
        raise TypeError(type(value))
    return json.dumps(value)


@st.composite
def spoil_documents(draw: st.DrawFn, documents: list[Any], values: st.SearchStrategy[Any] = odd_values) -> Any:
    """Draw a document of which one to three values, at any depth, are removed, doubled, exchanged or something else."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in list_places(document) if place]
        if not places:
            return document
        *path, key = draw(st.sampled_from(places))
        holder = find_value(document, tuple(path))
        match draw(st.sampled_from(["value", "remove", "wrap", "other"])):
            case "value":
                holder[key] = draw(values)
            case "remove":
                del holder[key]
            case "wrap":
                holder[key] = [holder[key]] if draw(st.booleans()) else {"a": holder[key]}
            case _:
                holder[key] = copy.deepcopy(draw(st.sampled_from([find_value(document, place) for place in places])))
    return document


@st.composite
def spoil_bytes(draw: st.DrawFn, sound: bytes, head: int | None = None) -> bytes:
    """Draw a file of which some bytes (of its head) are others, or which ends early."""
    data = bytearray(sound)
    end = min(head or len(data), len(data))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, end - 1))
        piece = draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 8, bytes(8), b"\0\0\0\x80", b"\xff\xff"]))
        data[place : place + len(piece)] = piece
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.integers(0, 5)) == 0 else bytes(data)
