"""The page on the first month is lived: every command on its day, on a terminal of 80 columns, with the answers that it shows."""

from __future__ import annotations

import re
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from minewatch.operations.courses.mailbox import FOLDER, MailServer
from tests.helpers.lived_page import Block, is_same, live, mask, write_answers
from tests.helpers.places import ROOT
from tests.helpers.servers import HOST, explain_missing_nginx, find_free_port, serve_folder
from tests.helpers.terminal import open_terminal
from tests.helpers.valley import make_valley, write_maps

PAGE = ROOT / "docs" / "first-month.md"
SOURCE, MAILBOX, HOME = "127.0.0.1:8470", "127.0.0.1:2525", "/home/ana"
"""Addresses and folder of the page."""

ATTENTION = 3
QUOTED = re.compile(r"^<!-- as in first-month.md -->\n+```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def live_month(folder: Path) -> tuple[list[Block], list[str]]:
    """Live the page in a folder; returns its blocks, and the mails that were sent."""
    valley = make_valley(folder / "served")
    home = folder / "home"
    home.mkdir()
    write_maps(home / "maps")
    port = find_free_port()
    with ExitStack() as stack:
        web = stack.enter_context(serve_folder(valley.folder))
        mail = stack.enter_context(MailServer(folder, port, lambda _line: None))
        threading.Thread(target=mail.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        stack.callback(mail.shutdown)
        terminal = stack.enter_context(open_terminal(home, {"no_proxy": HOST, "HOME": str(home)}))
        names = {SOURCE: f"{HOST}:{web.port}", MAILBOX: f"{HOST}:{port}", HOME: str(home)}
        blocks = live(PAGE.read_text("utf-8"), terminal, names, valley.show)
    return blocks, [path.read_text("utf-8") for path in sorted((folder / FOLDER).glob("*.eml"))]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Block], list[str]]:
    reason = explain_missing_nginx()
    if reason:
        pytest.skip(reason)
    return live_month(tmp_path_factory.mktemp("month"))


@pytest.mark.server
def test_every_answer_is_the_one_that_the_page_shows(month: tuple[list[Block], list[str]]) -> None:
    answered = [block for block in month[0] if block.shown is not None]
    assert len(answered) > 15
    for block in answered:
        assert block.shown is not None
        if not is_same(block.shown, block.answered):
            assert mask(block.answered) == mask(block.shown), f"{block.commands}; write the page anew: CONTRIBUTING.md says how"


@pytest.mark.server
def test_what_the_page_does_not_call_an_error_works(month: tuple[list[Block], list[str]]) -> None:
    for block in month[0]:
        failed = [command for command, code in zip(block.commands, block.codes, strict=True) if code not in (0, ATTENTION)]
        assert len(failed) == sum(line.startswith("Error: ") for line in (block.shown or "").splitlines()), failed


@pytest.mark.server
def test_the_rangers_are_told(month: tuple[list[Block], list[str]]) -> None:
    """A mail to try, one for the first scan, and one for each night on which something was confirmed or grew."""
    assert len(month[1]) == 1 + 4
    assert "old-ford-20250608-c5870c" in month[1][2]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_what_other_pages_quote_is_what_the_month_shows(page: Path) -> None:
    month = PAGE.read_text("utf-8")
    assert [quote for quote in QUOTED.findall(page.read_text("utf-8")) if quote not in month] == []


def write_month() -> None:
    """Write the answers into the page, and what other pages quote of it, line for line."""
    with tempfile.TemporaryDirectory() as name:
        blocks, _ = live_month(Path(name))
    before = PAGE.read_text("utf-8")
    after = write_answers(before, blocks)
    PAGE.write_text(after, "utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text("utf-8")
        for quote in QUOTED.findall(text):
            first = before[: before.index(quote)].count("\n")
            lines = after.splitlines(keepends=True)[first : first + quote.count("\n")]
            text = text.replace(quote, "".join(lines))
        page.write_text(text, "utf-8")


if __name__ == "__main__":
    write_month()
