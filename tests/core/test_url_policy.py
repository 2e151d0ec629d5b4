"""What strangers' data may name: addresses as an attacker would write them."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minewatch.core.errors import SceneError
from minewatch.core.http import RangeError, resolve_redirect
from minewatch.core.url_policy import (
    LONGEST_HREF,
    LONGEST_ID,
    NetworkZone,
    check_href,
    check_id,
    find_resolved_zone,
    find_zone,
    is_web,
    resolve_href,
)

PUBLIC = "https://stac.example.org/v1/catalog.json"
PLAIN = "http://stac.example.org:8080/catalog.json"
PRIVATE = "https://10.1.2.3/catalog.json"
HERE = "http://127.0.0.1:8000/catalog.json"


def has_no_address(*_: object, **__: object) -> None:
    raise socket.gaierror("no such name")


@pytest.fixture(autouse=True, scope="module")
def _no_lookups() -> Iterator[None]:
    """No test asks the network for a name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", has_no_address)
        find_resolved_zone.cache_clear()
        yield
    find_resolved_zone.cache_clear()


@pytest.fixture
def disk(tmp_path: Path) -> str:
    """The root of a catalogue on disk."""
    (tmp_path / "cat").mkdir()
    return str(tmp_path / "cat" / "catalog.json")


def refuse(href: object, root: str = PUBLIC, allowed: tuple[str, ...] = ()) -> str:
    """Return the reason for which an address is refused, once it is known to be one short line that can be shown."""
    with pytest.raises(SceneError) as caught:
        resolve_href(href, root, root, "item a, asset red", allowed)
    text = str(caught.value)
    assert text.startswith("item a, asset red")
    assert text.isprintable()
    assert len(text) < 600
    return text


# --- hosts -----------------------------------------------------------------------------------------------------------

INSIDE = [
    "localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.255.0.9", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "10.0.0.1", "10.0.0.1.", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.1", "255.255.255.255", "224.0.0.1",
    "[::ffff:10.0.0.1]", "[::10.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]", "[fc00::1]", "[fd12::1]", "[fec0::1]", "[::]",
    "169.254.169.254", "169.254.0.1", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16",
    "metadata", "metadata.google.internal", "router", "nas.local", "git.corp", "x.internal", "printer.lan", "db.home.arpa",
    "169.254.169.254.nip.io", "169-254-169-254.sslip.io", "a9fea9fe.nip.io", "fe80--1.sslip.io", "app.10.0.0.1.nip.io",
    "NIP.IO.", "x.localtest.me", "lvh.me", "7f000001.rbndr.us", "10-0-0-1.example.org", "a.192.168.7.7.example.org",
    "ip-10-8-0-1.example.org", "169.254.169.254.example.org", "metadata.goog", "metadata.google.internal.",
    "kubernetes.default.svc",
    "stac.default.svc",
    "minio.default.svc.cluster.local", "vault.service.consul", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[::ffff:0:a9fe:a9fe]", "[2001:db8::5efe:10.0.0.1]",
    "[2606:4700::200:5efe:a00:1]", "[2002:a9fe:a9fe::]", "[2001:0:4136:e378:8000:63bf:5601:5601]", "[0:0:0:0:0:ffff:7f00:1]",
    "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe", "2852039166", "169.254.43518",
    "2130706433", "0x7f000001", "0x7f.0.0.1", "127.1", "0177.0.0.1", "017700000001", "127.0.0.1.5", "1.2.3", "0xa9fea9fe",
]  # fmt: skip


@pytest.mark.parametrize("port", ["", ":8443"])
@pytest.mark.parametrize("host", INSIDE)
def test_a_public_catalogue_may_name_nothing_inside(host: str, port: str) -> None:
    refuse(f"https://{host}{port}/red.tif")
    refuse(f"http://{host}{port}/red.tif")
    refuse(f"//{host}{port}/red.tif")


@pytest.mark.parametrize(
    "host",
    ["example.org", "8.8.8.8", "[2606:4700::1111]", "a-b.c_d.example", "xn--bcher-kva.example", "1.example", "v1-0-0-1.example",
     "ec2-52-1-2-3.compute-1.amazonaws.com", "8-8-8-8.example", "s2-2024-01-15-10.example", "nip.io.example", "notnip.io"],
)  # fmt: skip
def test_any_public_host_may_be_named_with_https(host: str, disk: str) -> None:
    href = f"https://{host}/a/red.tif?sig=a%2Fb"
    for root in (PUBLIC, PLAIN, PRIVATE, HERE, disk):
        assert check_href(href, root, "item") == href


FOOLING = [
    "https://good.example@evil.example/x", "https://good.example:pw@evil.example/x", "https://a.example\\@b.example/x",
    "https:\\\\b.example\\x", "https://a.example#@b.example/x", "https:///x", "https:x", "https://", "https://a.example:99999/x",
    "https://a.example:0/x", "https://a.example:-1/x", "https://a.example:80:80/x", "https://[::1/x",
    "https://[fe80::1%25eth0]/x",
    "https://127。0。0。1/x", "https://①②⑦.⓪.⓪.①/x", "https://localho\u017ft/x", "https://exa\u0000mple.org/x",
    "https://example.org/\r\nHost: evil", "https://example.org/\n", "\thttps://example.org/x", "https://exam\tple.org/x",
    "https://example.org/\u202ex", "https://127.0.0.1%2f@example.org/x", "https://%31%32%37.0.0.1/x", "https://a..@/x",
    "https://.a/x",
    "https://-a.example/x", "https://a b.example/x", "https://example.org/" + "x" * LONGEST_HREF, "", None, 5,
    ["https://example.org"], {},
    "gopher://example.org/x", "ftp://example.org/x", "javascript:alert(1)", "data:,x", "jar:https://example.org/x!/y",
    "vsicurl/https://127.0.0.1/x", "/vsicurl/https://example.org/x", "/vsis3/bucket/x", "/vsizip//vsicurl/x",
    "vrt://https://example.org/x",
    "zip+https://example.org/x.zip!y.tif", "https+zip://example.org/x", "GTIFF_DIR:1:/etc/x.tif", "GTIFF_RAW:/etc/x.tif",
    "<VRTDataset></VRTDataset>", "C:\\Windows\\x.tif", "C:/Windows/x.tif", "\\\\server\\share\\x.tif",
]  # fmt: skip


@pytest.mark.parametrize("href", FOOLING, ids=lambda href: ascii(href)[:60])
def test_an_address_that_parsers_read_in_two_ways_is_refused(href: object, disk: str) -> None:
    for root in (PUBLIC, PLAIN, HERE) if is_web(str(href)) or not isinstance(href, str) else (PUBLIC, disk):
        try:
            found = resolve_href(href, root, root, "item a, asset red")
        except SceneError:
            continue
        # What is left is a name below the catalogue, or a fragment that no server sees.
        assert found.startswith((f"{Path(disk).parent}/", "https://a.example#", root.rpartition("/")[0]))


def test_plain_http_is_for_the_host_that_served_the_catalogue(disk: str) -> None:
    for href in ("http://stac.example.org:8080/a.tif", "http://stac.example.org/a.tif", "http://stac.example.org:9/a.tif"):
        assert check_href(href, PLAIN, "item") == href
        assert "https" in refuse(href)  # served by https: nothing less
        assert "https" in refuse(href, disk)
    assert "https" in refuse("http://other.example.org/a.tif", PLAIN)


def test_this_machine_is_named_from_this_machine_only(disk: str) -> None:
    for root in (disk, HERE, "http://localhost/catalog.json", "http://[::1]:8000/catalog.json"):
        for href in ("http://127.0.0.1:8123/a.tif", "http://localhost:8123/a.tif", "http://[::1]:8123/a.tif"):
            assert check_href(href, root, "item") == href
    for root in (PUBLIC, PLAIN, PRIVATE):
        assert "private network" in refuse("https://127.0.0.1/a.tif", root)


def test_a_private_network_is_named_from_inside_only(disk: str) -> None:
    for root in (PRIVATE, "https://stac.corp/catalog.json", HERE, disk):
        assert check_href("https://192.168.7.7/a.tif", root, "item")
    assert "private network" in refuse("https://192.168.7.7/a.tif", PUBLIC)


@pytest.mark.parametrize("root", [PUBLIC, PRIVATE, HERE, "/data/catalog.json"])
@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "metadata.google.internal", "[fd00:ec2::254]", "2130706433",
     "169.254.169.254.nip.io", "169-254-169-254.sslip.io", "a9fea9fe.nip.io", "169-254-169-254.example.org",
     "kubernetes.default.svc", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]",
     "[fe80::5efe:a9fe:a9fe]", "metadata.goog"])  # fmt: skip
def test_where_clouds_hand_out_credentials_nobody_leads(root: str, host: str) -> None:
    refuse(f"https://{host}/latest/meta-data", root)
    refuse(f"http://{host}/latest/meta-data", root)


RESOLVED = {
    "public.example": "93.184.216.34",
    "inside.example": "10.0.0.7",
    "meta.example": "169.254.169.254",
    "six.example": "::ffff:169.254.169.254",
    "own.example": "127.0.0.1",
    "half.example": "93.184.216.34 10.0.0.7",
}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names that have an address; gives those that were asked for."""
    asked: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host not in RESOLVED:
            has_no_address()
        return [(0, 0, 0, "", (address, 0)) for address in RESOLVED[host].split()]

    for variable in ("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    find_resolved_zone.cache_clear()
    yield asked
    find_resolved_zone.cache_clear()


@pytest.mark.parametrize("host", ["inside.example", "meta.example", "six.example", "own.example", "half.example"])
def test_a_public_name_that_leads_inside_is_refused(names: list[str], host: str) -> None:
    assert "private network" in refuse(f"https://{host}/red.tif")
    with pytest.raises(RangeError, match="redirected"):
        resolve_redirect("https://public.example/x", f"https://{host}/x")
    assert host in names


def test_what_leads_nowhere_or_outside_is_taken_and_asked_for_once(names: list[str]) -> None:
    for host in ("public.example", "unknown.example"):
        for _ in range(3):
            assert check_href(f"https://{host}/red.tif", PUBLIC, "item")
    assert sorted(names) == ["public.example", "unknown.example"]


@pytest.mark.usefixtures("names")
def test_a_catalogue_inside_may_name_what_lies_beside_it_and_no_metadata_service(disk: str) -> None:
    for root in ("https://inside.example/catalog.json", disk, PRIVATE):
        assert check_href("https://inside.example/red.tif", root, "item")
        refuse("https://meta.example/red.tif", root)
    refuse("https://own.example/red.tif", "https://inside.example/catalog.json")
    assert check_href("https://meta.example/red.tif", PUBLIC, "item", ("meta.example",))


def test_behind_a_proxy_no_name_is_resolved_here(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert check_href("https://public.example/red.tif", PUBLIC, "item")
    refuse("https://169.254.169.254.nip.io/red.tif")
    assert names == []


def test_what_the_user_gave_is_trusted_and_what_the_user_allows() -> None:
    for root in ("http://nas/catalog.json", "http://169.254.3.3:80/catalog.json", "https://me:pw@stac.example.org/catalog.json"):
        href = root.replace("catalog.json", "a.tif")
        assert check_href(href, root, "item") == href
    assert check_href("http://tiles.corp:81/a.tif", PUBLIC, "item", ("tiles.corp:81",))
    assert check_href("http://tiles.corp:82/a.tif", PUBLIC, "item", ("Tiles.corp",))
    refuse("http://tiles.corp:82/a.tif", PUBLIC, ("tiles.corp:81",))
    refuse("http://tiles.corp@evil.example/a.tif", PUBLIC, ("tiles.corp",))


def test_reasons_hold_no_secret() -> None:
    assert "s3cret" not in refuse("http://10.0.0.1/a.tif?sig=s3cret")
    assert "s3cret" not in refuse("https://me:s3cret@example.org/a.tif")
    assert "s3cret" not in refuse("https://me:s3cret@example.org:x/a.tif\\")


@given(st.text(st.sampled_from("0123456789.xXa"), min_size=1, max_size=20))
def test_no_number_is_taken_for_a_public_name(host: str) -> None:
    """What the system would read as an address inside is never public, however it is written."""
    try:
        address = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return
    if not address.is_global:
        assert find_zone(host) is not NetworkZone.PUBLIC


@given(st.text() | st.text(st.sampled_from("https:/.@[]%:#?\\0127abc")).map("https://{}".format))
def test_any_text_is_refused_in_one_way_only(href: str) -> None:
    said = ""
    try:
        resolve_href(href, PUBLIC, PUBLIC, "item a")
    except SceneError as error:
        said = str(error)
    assert said.isprintable()


# --- redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", INSIDE)
def test_no_redirect_leads_inside(host: str) -> None:
    for scheme in ("https", "http"):
        with pytest.raises(RangeError, match="redirected"):
            resolve_redirect("https://a.example/x", f"{scheme}://{host}/x")


@pytest.mark.parametrize(
    "target", ["s3://bucket/x", "file:///etc/passwd", "https://u@b.example/x", "https://[::1", "\\\\b.example"]
)
def test_no_redirect_leads_elsewhere(target: str) -> None:
    try:
        found = resolve_redirect("https://a.example/x", target)
    except RangeError:
        return
    assert found.startswith("https://a.example/")


# --- stores ----------------------------------------------------------------------------------------------------------


def test_an_object_of_a_bucket_may_be_named(disk: str) -> None:
    for href in ("s3://eodata/Sentinel-2/MSI/B02.jp2", "s3://sentinel-cogs/a/b.tif"):
        for root in (PUBLIC, disk):
            assert check_href(href, root, "item") == href


@pytest.mark.parametrize(
    "href",
    ["s3://", "s3:///k", "s3://b", "s3://bucket", "s3://bucket/", "s3://bucket/../other/k", "s3://bucket/%2e%2e/k",
    "s3://bucket/a//b",
     "s3://evil.example#/k", "s3://u@bucket/k", "s3://bucket:80/k", "s3://bucket/k?versionId=1", "s3://bucket/k#x",
     "S3://bucket/../k"],
)  # fmt: skip
def test_what_is_no_object_of_a_bucket_is_refused(href: str) -> None:
    refuse(href)


# --- files -----------------------------------------------------------------------------------------------------------

OUTSIDE = [
    "../x.tif", "a/../../x.tif", "/etc/passwd", "file:///etc/passwd", "file://host/etc/passwd", "file://host{folder}/x.tif",
    "file:{folder}/../x.tif", "file:///{folder}/%2e%2e/x.tif", "file:///{folder}/a%00.tif", "{folder}-2/x.tif", "link/x.tif",
    "link",
    "file:///{folder}/link/x.tif", "inner/up/x.tif", "pipe", ".", "inner", "a\0.tif", "a\nb.tif", "..\\x.tif",
    "inner\\..\\..\\x.tif",
    "//etc/passwd", "file:////etc/passwd", "file:etc/passwd", "/dev/stdin", "/proc/self/environ", "x" * 300 + "/../../../x",
    "~/x.tif/../../..",
    "/vsimem/x", "/vsi/x", "/VSIZIP/x",
]  # fmt: skip


@pytest.mark.parametrize("href", OUTSIDE, ids=lambda href: ascii(href)[:50])
def test_no_file_outside_the_catalogue_is_named(tmp_path: Path, disk: str, href: str) -> None:
    folder = Path(disk).parent
    (tmp_path / "x.tif").write_text("secret")
    (tmp_path / "cat-2").mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "inner").mkdir()
    (folder / "inner" / "up").symlink_to("../..")
    os.mkfifo(folder / "pipe")
    refuse(href.format(folder=folder), disk)


@pytest.mark.parametrize(
    "href", ["a.tif", "./inner/a.tif", "inner/../a.tif", "a b.tif", "a%20b.tif", "a?b.tif", "a#b.tif", "..a/b.tif", "a!b.tif"]
)
def test_a_file_below_the_catalogue_is_named_as_it_is(disk: str, href: str) -> None:
    folder = Path(disk).parent
    assert resolve_href(href, disk, disk, "item") == os.path.normpath(folder / href)


# --- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../../x", "/etc/x", "a/b", "C:\\x", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\0", "\ud800", "a\u200b",
    "x" * (LONGEST_ID + 1),
     "x" * 10_000, None, 7, [], {"id": "x"}],
    ids=lambda name: ascii(name)[:30],
)  # fmt: skip
def test_an_id_that_is_no_plain_name_is_refused_in_one_short_line(name: object) -> None:
    with pytest.raises(SceneError) as caught:
        check_id(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "name", ["S2A_19LCF_20200704_0_L2A", "S2A_MSIL2A_20200704T145021.SAFE", "a b", "=1+1", "$x$", "[red]", "NUL", "é"]
)
def test_other_ids_are_names(name: str) -> None:
    assert check_id(name) == name
