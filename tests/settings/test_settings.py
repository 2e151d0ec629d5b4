"""Sources in ``minewatch.toml``: what they become, and how a fault is told without showing what stands there."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest

from minewatch.core.errors import WorkspaceError
from minewatch.core.workspace import Workspace
from minewatch.settings.catalogues import S3Table, SourceTable, TokenTable
from minewatch.settings.document import default_source, init_workspace, list_imagery, list_providers, read_settings
from minewatch.settings.providers import BANDS, PROVIDERS, Provider, S3Login, TokenLogin
from minewatch.settings.template import TEMPLATE
from tests.helpers.places import ROOT

KEY = "AKIAIOSFODNN7EXAMPLE"
LONG_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


def write_settings(workspace: Workspace, text: str) -> None:
    workspace.settings.write_text(text, "utf-8")


def read_own(workspace: Workspace, text: str) -> Provider:
    """Read the settings of one source that is called ours."""
    write_settings(workspace, text)
    return list_providers(workspace)["ours"]


def fail(workspace: Workspace, text: str) -> str:
    """Return the one line that a user sees, and make sure that the whole trace shows no value of the file either."""
    write_settings(workspace, text)
    with pytest.raises(WorkspaceError) as caught:
        read_settings(workspace)
    trace = "".join(traceback.format_exception(caught.value))
    assert not any(word in trace for word in ("MARKER", KEY, LONG_KEY))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{workspace.settings}: ")


# --- what is understood ----------------------------------------------------------------------------------------------


def test_without_tables_there_are_the_built_in_ones(workspace: Workspace) -> None:
    assert list_providers(workspace) == PROVIDERS


def test_a_source_needs_no_more_than_its_address(workspace: Workspace) -> None:
    provider = read_own(workspace, '[sources.ours]\nurl = "https://stac.example.org/v1"')
    assert provider == Provider("ours", "https://stac.example.org/v1")
    assert list(list_providers(workspace)) == [*PROVIDERS, "ours"]


def test_everything_that_can_be_said(workspace: Workspace) -> None:
    names = "\n".join(f'{band} = "{band.upper()}"' for band in BANDS)
    text = f"""
        [sources.ours]
        url = "http://10.0.0.5:8080/stac"
        title = "Our own"
        collection = "s2"
        offset = "metadata"
        signing = "planetary-computer"
        [sources.ours.assets]
        {names}
        [sources.ours.s3]
        endpoint = "s3.example.org:9000"
        region = "eu-1"
        key_variable = "OURS_ACCESS_KEY"
        secret_variable = "OURS_SECRET_KEY"
        requester_pays = true
    """
    login = S3Login("s3.example.org:9000", "eu-1", "OURS_ACCESS_KEY", "OURS_SECRET_KEY", requester_pays=True)
    assets = {band: band.upper() for band in BANDS}
    assert read_own(workspace, text) == Provider(
        "ours",
        "http://10.0.0.5:8080/stac",
        "s2",
        "Our own",
        assets=assets,
        offset="metadata",
        signing="planetary-computer",
        s3=login,
    )


@pytest.mark.parametrize("rule", ["", "earth-search", "metadata", "baseline", "none"])
def test_what_decides_on_the_offset_of_a_source(workspace: Workspace, rule: str) -> None:
    assert read_own(workspace, f'[sources.ours]\npath = "scenes"\noffset = "{rule}"').offset == rule


@pytest.mark.parametrize("path", ["scenes", "./scenes/catalog.json", "../elsewhere/catalog.json"])
def test_a_relative_path_counts_from_the_workspace(workspace: Workspace, path: str) -> None:
    assert Path(read_own(workspace, f'[sources.ours]\npath = "{path}"').root) == workspace.root / path


def test_a_path_from_the_root_or_from_home_stays(workspace: Workspace) -> None:
    assert read_own(workspace, '[sources.ours]\npath = "/data/catalog.json"').root == "/data/catalog.json"
    assert read_own(workspace, '[sources.ours]\npath = "~/scenes"').root == str(Path("~/scenes").expanduser())


def test_a_name_goes_before_a_folder_of_that_name(workspace: Workspace) -> None:
    (workspace.root / "ours").mkdir()
    write_settings(workspace, 'source = "ours"')
    assert default_source(workspace) == str(workspace.root / "ours")
    write_settings(workspace, 'source = "ours"\n[sources.ours]\nurl = "https://stac.example.org"')
    assert default_source(workspace) == "ours"
    write_settings(workspace, 'source = "./ours"\n[sources.ours]\nurl = "https://stac.example.org"')
    assert default_source(workspace) == str(workspace.root / "ours")


def test_the_example_of_the_template_works_once_its_marks_are_gone(workspace: Workspace) -> None:
    head, example = TEMPLATE.format(source='"ours"').split("# [sources.ours]")
    text = "\n".join(line.removeprefix("# ") for line in f"[sources.ours]{example}".splitlines())
    write_settings(workspace, f"{head}\n{text}")
    assert default_source(workspace) == "ours"
    assert list_providers(workspace)["ours"].s3 == S3Login("s3.example.org", "eu-1", "OURS_ACCESS_KEY", "OURS_SECRET_KEY")


@pytest.mark.parametrize("name", ["OURS_ACCESS_KEY", "KEY", "A", "S3_KEY_2", "AWS_ACCESS_KEY_ID"])
def test_names_of_variables(workspace: Workspace, name: str) -> None:
    text = f'[sources.ours]\nurl = "https://x.org"\n[sources.ours.s3]\nkey_variable = "{name}"\nsecret_variable = "B"'
    login = read_own(workspace, text).s3
    assert login is not None
    assert (login.key_variable, login.endpoint, login.region) == (name, "", "")


def test_a_store_without_a_login(workspace: Workspace) -> None:
    text = '[sources.ours]\nurl = "https://x.org"\n[sources.ours.s3]\nendpoint = "http://10.0.0.5:9000"'
    assert read_own(workspace, text).s3 == S3Login("http://10.0.0.5:9000", "", "", "")


# --- what is refused -------------------------------------------------------------------------------------------------

URL = 'url = "https://stac.example.org"'
S3 = f'[sources.ours]\n{URL}\n[sources.ours.s3]\nkey_variable = "A"\nsecret_variable = "B"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sorce = 'x'", "unknown key 'sorce'; did you mean 'source'?"),
        ("[source.ours]\nurl = 'https://x.org'", "source: give a name, an address or a path in quotes; the table of a source"),
        ("source = 'https://u:MARKER@x.org'", "source: give an address without a login"),
        ("source = 3", "source: give a name, an address or a path in quotes"),
        ("[sources]\nours = 'https://MARKER.org'", "sources.ours: make it a table: [sources.ours]"),
        ("sources = 'MARKER'", "sources: Input should be a valid dictionary"),
        (f"[sources.ours]\n{URL}\ncolection = 'MARKER'", "unknown key 'sources.ours.colection'; did you mean 'collection'?"),
        (f"[sources.ours]\n{URL}\naddress = 'MARKER'", "unknown key 'sources.ours.address'; "),
        (f"[sources.ours]\n{URL}\nq = 'MARKER'", "unknown key 'sources.ours.q'; known keys: url, path, title, collection"),
        (f"{S3}secret = '{LONG_KEY}'", "unknown key 'sources.ours.s3.secret'; did you mean 'secret_variable'?"),
        (f"{S3}access_key = '{KEY}'", "unknown key 'sources.ours.s3.access_key'; known keys: endpoint, region, key_variable"),
        ("[sources.ours]\ntitle = 'MARKER'", "sources.ours: give either url or path"),
        (f"[sources.ours]\n{URL}\npath = 'MARKER'", "sources.ours: give either url or path"),
        ("[sources.ours]\nurl = 'scenes/MARKER.json'", "sources.ours.url: give an address that begins with https://"),
        ("[sources.ours]\nurl = 's3://MARKER/catalog.json'", "sources.ours.url: give an address that begins with https://"),
        ("[sources.ours]\nurl = 'https://u:MARKER@x.org'", "sources.ours.url: give an address without a login"),
        ("[sources.ours]\nurl = 'https://x.org/v1?token=MARKER'", "sources.ours.url: give an address without a login"),
        (f"[sources.ours]\n{URL}\ncollection = ''", "sources.ours.collection: String should have at least 1 character"),
        (
            f"[sources.ours]\n{URL}\noffset = 'MARKER'",
            "sources.ours.offset: Input should be '', 'earth-search', 'metadata', 'baseline' or 'none'",
        ),
        (f"[sources.ours]\n{URL}\nsigning = 'MARKER'", "sources.ours.signing: Input should be '' or 'planetary-computer'"),
        (f"[sources.ours]\n{URL}\nassets = {{red = 'MARKER'}}", "sources.ours.assets: name the assets of all of blue, red"),
        (
            f"[sources.earth-search]\n{URL}",
            "sources: earth-search is built in, and means the same everywhere; give yours another",
        ),
        (f"[sources.'../ours']\n{URL}", "sources: '../ours' cannot be the name of a source"),
        (f"[sources.'https://x.org']\n{URL}", "sources: 'https://x.org' cannot be the name of a source"),
        (
            f"[sources.ours]\n{URL}\n[sources.ours.s3]\nkey_variable = 'A'",
            "sources.ours.s3: give both key_variable and secret_var",
        ),
        (f"{S3}endpoint = 'https://u:MARKER@s3.org'", "sources.ours.s3.endpoint: give a host"),
        (f"{S3}endpoint = 's3.org/MARKER'", "sources.ours.s3.endpoint: give a host"),
        (f"{S3}requester_pays = 'MARKER'", "sources.ours.s3.requester_pays: Input should be a valid boolean"),
    ],
)
def test_a_fault_is_one_line_that_names_the_key_and_shows_no_value(workspace: Workspace, text: str, message: str) -> None:
    assert fail(workspace, text).startswith(message)


@pytest.mark.parametrize("place", ["key_variable", "secret_variable"])
@pytest.mark.parametrize(
    "value",
    [
        KEY,
        LONG_KEY,
        "MARKER7ABCDEFGH23",
        "MARKER-9f8a7b6c5d",
        "MARKER9f8a7b6c5d4e3f2a",
        "MARKER=",
        "1MARKER",
        "MARKER key",
        "MARKER" * 20,
    ],
)
def test_a_key_in_the_place_of_a_name_is_refused_and_not_shown(workspace: Workspace, place: str, value: str) -> None:
    other = {"key_variable": "secret_variable", "secret_variable": "key_variable"}[place]
    text = f"[sources.ours]\n{URL}\n[sources.ours.s3]\n{place} = '{value}'\n{other} = 'OTHER'"
    message = fail(workspace, text)
    assert message.startswith(f"sources.ours.s3.{place}: give the name of an environment variable")
    assert "replaced" in message


# --- the manual ------------------------------------------------------------------------------------------------------


def test_the_settings_of_the_manual_are_understood(workspace: Workspace) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs" / "catalogues.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    write_settings(workspace, "\n".join(examples))
    own = [name for name in list_providers(workspace) if name not in PROVIDERS]
    assert own == ["ours", "archive", "gated", "cdse-files"]


def test_the_manual_names_every_key_of_a_source() -> None:
    text = (ROOT / "docs" / "catalogues.md").read_text("utf-8")
    missing = [name for table in (SourceTable, S3Table, TokenTable) for name in table.model_fields if f"`{name}`" not in text]
    assert missing == []


# --- imagery ---------------------------------------------------------------------------------------------------------


def test_imagery_is_a_source_with_a_credit(workspace: Workspace) -> None:
    write_settings(workspace, '[imagery.sharp]\npath = "photos/catalog.json"\ncredit = "(c) us"\nmax_cloud = 5')
    imagery = list_imagery(workspace)["sharp"]
    assert (imagery.name, imagery.assets, imagery.credit, imagery.max_cloud) == ("sharp", ("visual",), "(c) us", 5)
    assert imagery.provider.root == str(workspace.root / "photos/catalog.json")
    assert list_providers(workspace) == PROVIDERS, "scans know nothing of it"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[imagery.sharp]\nurl = "https://a.example.org"', "imagery.sharp.credit: Field required"),
        ('[imagery.best]\npath = "a"\ncredit = "us"', "imagery: best means the sharpest of all; give yours another name"),
        ('[imagery."a/b"]\npath = "a"\ncredit = "us"', "imagery: 'a/b' cannot be the name of imagery"),
        ('[imagery.sharp]\npath = "a"\ncredit = "us"\nasets = []', "unknown key 'imagery.sharp.asets'; did you mean 'assets'?"),
        ('[imagery.sharp]\npath = "a"\ncredit = "us"\nmax_cloud = 200', "imagery.sharp.max_cloud: Input should be less than"),
        ('[imagery.sharp]\nurl = "https://u:MARKER@a.example.org"\ncredit = "us"', "imagery.sharp.url: give an address without"),
        ('[imagery.sharp]\npath = "a"\ncredit = "us"\nassets = ["r", "g"]', "imagery.sharp.assets.2: Field required"),
    ],
)
def test_a_fault_of_imagery_is_one_line(workspace: Workspace, text: str, fault: str) -> None:
    assert fail(workspace, text).startswith(fault)


def test_the_imagery_of_the_template_works_once_its_marks_are_gone(workspace: Workspace) -> None:
    _, _, example = TEMPLATE.partition("# [imagery.sharp]\n")
    lines = [line.removeprefix("# ") for line in example.partition("\n\n")[0].splitlines()]
    write_settings(workspace, "\n".join(["[imagery.sharp]", *lines]))
    assert list_imagery(workspace)["sharp"].provider.collection == "ortho-rgb"


# --- the time-stamping authority -------------------------------------------------------------------------------------

STAMPS = '[timestamps]\nurl = "https://tsa.example.org/tsr"\nca = "root.pem"\n'


def test_an_authority_needs_address_and_root(workspace: Workspace) -> None:
    assert read_settings(workspace).timestamps is None
    write_settings(workspace, STAMPS)
    found = read_settings(workspace).timestamps
    assert found is not None
    assert (found.url, found.ca, found.policy) == ("https://tsa.example.org/tsr", "root.pem", "")
    write_settings(workspace, STAMPS.replace("https", "http") + 'policy = "1.2.3.4.1"\n')
    assert read_settings(workspace).timestamps


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[timestamps]\nurl = "https://tsa.example.org"', "timestamps.ca: Field required"),
        (STAMPS.replace("https", "ftp"), "begins with https:// or http://"),
        (STAMPS.replace("tsa.example.org", "169.254.169.254"), "serves the network itself"),
        (STAMPS.replace("https://", "https://MARKER:MARKER@"), "without a login"),
        (STAMPS + 'policy = "MARKER"', "give an object identifier"),
        (STAMPS + 'password_variable = "TSA_PASSWORD"', "give both user_variable and password_variable"),
        (STAMPS + f'password_variable = "{KEY}"', "give the name of an environment variable"),
        (STAMPS.replace("https", "http") + 'user_variable = "TSA_USER"\npassword_variable = "TSA_PASSWORD"', "over https only"),
        (STAMPS.replace('"root.pem"', '"-----BEGIN CERTIFICATE-----MARKER"'), "give the path"),
        (STAMPS + "roots = 1", "unknown key 'timestamps.roots'"),
    ],
)
def test_a_fault_of_the_authority_is_one_line(workspace: Workspace, text: str, reason: str) -> None:
    assert reason in fail(workspace, text)


# --- keys and tokens -------------------------------------------------------------------------------------------------

OURS = '[sources.ours]\nurl = "https://stac.example.org/v1"\n[sources.ours.token]\n'
FETCHED = 'url = "https://login.example.org/token"\nid_variable = "OURS_ID"\nsecret_variable = "OURS_SECRET"\n'


def test_a_key_belongs_to_the_host_of_its_source_and_to_those_that_are_named(workspace: Workspace) -> None:
    text = OURS + 'variable = "OURS_TOKEN"\nheader = "x-api-key"\nhosts = ["files.example.org", "localhost:8000"]'
    token = read_own(workspace, text).token
    origins = ("https://stac.example.org:443", "https://files.example.org:443", "https://localhost:8000", "http://localhost:8000")
    assert token == TokenLogin(origins, "OURS_TOKEN", header="x-api-key")
    assert token.belongs_to("https://files.example.org/a.tif")
    assert not any(
        map(token.belongs_to, ("http://files.example.org/a.tif", "https://files.example.org.evil.net/a.tif", "/a.tif"))
    )


def test_a_token_is_fetched_by_client_credentials(workspace: Workspace) -> None:
    token = read_own(workspace, OURS + FETCHED).token
    assert token is not None
    assert token.variables == ("OURS_ID", "OURS_SECRET")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OURS, "sources.ours.token: give either variable, or url"),
        (OURS + FETCHED + 'variable = "OURS_TOKEN"', "sources.ours.token: give either variable, or url"),
        (OURS + 'url = "https://login.example.org/MARKER"', "sources.ours.token: give either variable, or url"),
        (OURS + 'variable = "MARKER-key"', "sources.ours.token.variable: give the name of an environment variable"),
        (OURS + f'variable = "{KEY}"', "sources.ours.token.variable: give the name of an environment variable"),
        (OURS + 'variable = "X"\nheader = "MARKER: x"', "sources.ours.token.header: "),
        (OURS + 'variable = "X"\nheader = "x"\nquery = "y"', "sources.ours.token: give header or query, not both"),
        (OURS + 'variable = "X"\nhosts = ["https://MARKER.org"]', "sources.ours.token.hosts: give names of hosts"),
        (OURS + FETCHED.replace("https", "http"), "sources.ours.token.url: give the address of the login service"),
        (OURS + 'variabel = "X"', "unknown key 'sources.ours.token.variabel'; did you mean 'variable'?"),
        (OURS.replace("https", "http") + 'variable = "X"', "sources.ours: a key is sent over https only"),
        ('[sources.ours]\npath = "a"\n[sources.ours.token]\nvariable = "X"', "sources.ours: name the hosts of its files"),
        ('[sources.ours]\nurl = "https://a.example"\n[sources.ours.s3]\nrequester_pays = true', "need a login"),
    ],
)
def test_a_faulty_token_table_is_told_without_its_values(workspace: Workspace, text: str, told: str) -> None:
    assert told in fail(workspace, text)
