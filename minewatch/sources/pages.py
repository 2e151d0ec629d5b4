"""Searches a STAC API page by page, as its servers are in the wild: by POST or GET, with links of every form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from minewatch.sources.stac_io import DocumentError, FormatError, GuardedIO

MOST_PAGES = 5000
"""Of one search: 50 000 items at 10 per page, the smallest that servers give."""

STALE_PAGES = 3
"""Largest number of pages in a row without a new item: moving items cause one, a cycle causes them without end."""

MOST_PAGE_ITEMS = 10_000
"""Of one page: the most that servers give, whatever number was asked for."""

MOST_ITEMS = 100_000
"""Of one search; an area of a degree has some 20 000 in ten years."""

NO_POST = (405, 501)
"""Statuses by which a server says that it does not take this method."""


def find_search(root: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the address of an API's search from its root document, and whether POST may be tried.

    ``conformsTo`` is not asked: many servers leave it out, or state versions of long ago.  Raises FormatError.
    """
    links = root.get("links")
    known = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    found = [link for link in known if link.get("rel") == "search"]
    href = next((link["href"] for link in found if isinstance(link.get("href"), str)), None)
    if href is None:
        raise FormatError("its root document has no link to a search")
    return href, any(_name_method(link, "POST") == "POST" for link in found)


def read_pages(io: GuardedIO, href: str, question: Mapping[str, Any], *, may_post: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the pages of a search that have items: by POST, or by GET where the server does not take POST.

    Raises FormatError where they have no end, or too many items.
    """
    seen: set[str] = set()
    known: set[str] = set()
    count = stale = 0
    page = _ask(io, href, question, may_post=may_post)
    while True:
        names = _list_member_ids(page)
        count += len(names)
        if len(names) > MOST_PAGE_ITEMS:
            raise FormatError(f"a page of {len(names)} items, more than {MOST_PAGE_ITEMS}")
        if count > MOST_ITEMS:
            raise FormatError(f"{count} items or more, over {MOST_ITEMS}; search a smaller area or fewer years")
        stale = 0 if set(names) - known else stale + 1
        known.update(names)
        if names:
            yield page
        link = _find_next(page)
        if link is None:
            return
        place = json.dumps(link, sort_keys=True)
        if place in seen or stale >= STALE_PAGES or len(seen) >= MOST_PAGES:
            raise FormatError(f"its pages have no end: {len(seen) + 1} were read, with {len(known)} items")
        seen.add(place)
        page = _turn(io, href, link, question)


def _ask(io: GuardedIO, href: str, question: Mapping[str, Any], *, may_post: bool) -> dict[str, Any]:
    if may_post:
        try:
            return io.read_answer(href, "POST", None, dict(question))
        except DocumentError as error:
            if error.status not in NO_POST:
                raise
    return io.read_answer(href, "GET", None, {name: _write_parameter(value) for name, value in question.items()})


def _write_parameter(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _turn(io: GuardedIO, href: str, link: Mapping[str, Any], question: Mapping[str, Any]) -> dict[str, Any]:
    """Return the page of a next link, which may repeat the question, or only what is added to it."""
    method, headers, body = _name_method(link, "GET"), link.get("headers"), link.get("body") or {}
    if not isinstance(body, dict):
        raise FormatError("the link to its next page has a body that is no object")
    if not isinstance(headers, dict) or not all(isinstance(text, str) for text in headers.values()):
        headers = None
    parameters = {**question, **body} if link.get("merge") else body
    return io.read_answer(urljoin(href, link["href"]), method, headers, parameters if method == "POST" else None)


def _name_method(link: Mapping[str, Any], default: str) -> str:
    return str(link.get("method") or default).upper()


def _list_member_ids(page: Mapping[str, Any]) -> list[str]:
    """Return the ids of a page's items; raises FormatError where it is not a page.

    An answer that is another object (such as an error with status 200) must not count as a search without results.
    """
    members = page.get("features")
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise FormatError("its answer to the search is no FeatureCollection")
    return [f"{member.get('collection')} {member.get('id')}" for member in members]


def _find_next(page: Mapping[str, Any]) -> dict[str, Any] | None:
    links = page.get("links") or []
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise FormatError("the links of a page are no links")
    found = next((link for link in links if link.get("rel") == "next"), None)
    if found is not None and not isinstance(found.get("href"), str):
        raise FormatError("the link to its next page has no address")
    return found
