"""A page that is lived: its commands are typed on its days, and what they answer is what it shows, or is written into it."""

from __future__ import annotations

import datetime as dt
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.helpers.terminal import COLUMNS, Terminal

PART = re.compile(
    r"^```sh\n(?P<commands>.*?)^```$(?:\n\n```text\n(?P<shown>.*?)^```$)?|^<!-- clock: (?P<clock>.*?) -->$",
    re.DOTALL | re.MULTILINE,
)
COMMAND = re.compile(r"^[^\n]*<<'END'\n(?:.*\n)*?END$|^.+$", re.MULTILINE)
BAR = "━"

VARYING = (
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}"), "RUN"),
    (re.compile(r"[\d.]+ [kMG]?bit/s, \d+ ms until an answer begins: [\d.]+ [kMG]B"), "LINE"),
    (re.compile(r"\bin [\d.]+ s\b"), "SECONDS"),
)
"""What differs between two runs, and what stands for it where they are compared."""

SIZE = re.compile(r"(\d+(?:\.\d+)?) (kB|MB|GB)\b")
NEAR = 0.1
"""Share by which sizes may differ: files that are packed, and answers of a server."""


@dataclass(frozen=True)
class Block:
    """Commands of a page, and the answer that it shows."""

    commands: tuple[str, ...]
    shown: str | None
    answered: str
    codes: tuple[int, ...]
    place: tuple[int, int]
    """Of the answer in the page."""


def live(page: str, terminal: Terminal, names: Mapping[str, str], pass_time: Callable[[dt.datetime], None]) -> list[Block]:
    """Type what a page shows; ``names`` has what stands for the addresses and folders of the page here."""
    blocks: list[Block] = []
    for part in PART.finditer(page):
        if part["clock"]:
            terminal.now = dt.datetime.fromisoformat(part["clock"]).replace(tzinfo=dt.UTC)
            pass_time(terminal.now)
            continue
        commands = tuple(COMMAND.findall(part["commands"]))
        typed = [terminal.run(_replace(command, names)) for command in commands]
        answer = _replace("".join(one.shown for one in typed), {here: there for there, here in names.items()})
        blocks.append(Block(commands, part["shown"], tidy(answer), tuple(one.code for one in typed), part.span("shown")))
    return blocks


def _replace(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        text = text.replace(name, other)
    return text


def tidy(answer: str) -> str:
    """Return an answer as a page has it: without bars and empty lines, and without lines that are wider than a terminal."""
    lines = [line.rstrip() for line in answer.splitlines() if line.strip() and BAR not in line]
    return "".join(f"{part}\n" for line in lines for part in wrap(line))


def wrap(line: str) -> Sequence[str]:
    """Break a line that is wider than a terminal between its words."""
    return [line] if len(line) <= COLUMNS else textwrap.wrap(line, COLUMNS, break_long_words=False, break_on_hyphens=False)


def write_answers(page: str, blocks: Sequence[Block]) -> str:
    """Return the page with what its commands answered."""
    for block in reversed(blocks):
        if block.shown is not None:
            start, end = block.place
            page = page[:start] + block.answered + page[end:]
    return page


def is_same(shown: str, answered: str) -> bool:
    """True if two answers differ in nothing but what differs between two runs, and where their lines are broken."""
    if mask(shown) != mask(answered):
        return False
    units = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
    ours, theirs = ([float(number) * units[unit] for number, unit in SIZE.findall(text)] for text in (shown, answered))
    return all(abs(a - b) <= NEAR * max(a, b) for a, b in zip(ours, theirs, strict=True))


def mask(text: str) -> str:
    """Return a text in one line, with words in place of what differs between two runs."""
    text = " ".join(text.split())
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return SIZE.sub("SIZE", text)
