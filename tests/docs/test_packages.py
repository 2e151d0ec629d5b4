"""What is handed over: wheel and sdist, the container, the recipe, the list of parts; each agrees with the project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import minewatch
from tests.helpers.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGING = ROOT / "packaging"
STEPS = PACKAGING / "container.sh"
CONDA_NAMES = {"matplotlib": "matplotlib-base", "universal-pathlib": "universal_pathlib"}
"""Packages that have another name in conda's channels."""

SCAN = """
import sys
from dataclasses import replace
from pathlib import Path

from numba.core import event
from minewatch.operations.doctor import warm

class Listener(event.Listener):
    def on_start(self, event):
        print(event.data["dispatcher"].py_func.__qualname__)
    def on_end(self, event):
        pass

event.register("numba:compile", Listener())
warm.SCENES = replace(warm.SCENES, seed=2, width=96, cloudiness=0.3)
warm._scan_simulated(Path(sys.argv[1]))
"""
"""Scans, and prints what is compiled for it."""


def run(*command: str | Path, **more: Any) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- wheel and sdist ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    return folder


def test_index_servers_take_them(built: Path) -> None:
    pytest.importorskip("twine")
    assert run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir()).count("PASSED") == 2


def test_an_index_of_an_organisation_gives_it_by_name(built: Path, tmp_path: Path) -> None:
    """As PEP 503 has it: a folder for each project, with a page of links.  What it depends on is here already."""
    project = tmp_path / "simple" / "minewatch"
    project.mkdir(parents=True)
    (wheel,) = built.glob("*.whl")
    (project / wheel.name).symlink_to(wheel)
    (project / "index.html").write_text(f'<!doctype html><a href="{wheel.name}">{wheel.name}</a>')
    index = [f"--index-url={project.parent.as_uri()}", "--isolated", "--disable-pip-version-check", "--no-deps"]
    run(sys.executable, "-m", "pip", "install", *index, "--target", tmp_path / "there", "minewatch[evidence]==1.*")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "there")}
    said = run(sys.executable, "-m", "minewatch", "--version", cwd=tmp_path, env=environment)
    assert said.startswith(f"minewatch, version {minewatch.__version__}\n")


def test_sdist_holds_what_a_person_needs_to_build_and_test(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "SECURITY.md", "CITATION.cff", "pyproject.toml", "packaging/Dockerfile"} <= names
    assert {"docs/index.md", "tests/conftest.py", "minewatch/__init__.py", "requirements.lock"} <= names
    assert {name.split("/")[0] for name in names} <= {path.name for path in ROOT.iterdir()} | {"PKG-INFO"}


def test_versions_agree() -> None:
    recipe = yaml.safe_load((PACKAGING / "conda" / "recipe.yaml").read_text("utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert recipe["context"]["version"] == citation["version"] == minewatch.__version__
    assert f"\n## [{minewatch.__version__}] - " in (ROOT / "CHANGELOG.md").read_text("utf-8")
    wheels = re.findall(r"minewatch-([\d.]+)-py3", (ROOT / "docs" / "install.md").read_text("utf-8"))
    assert set(wheels) == {minewatch.__version__}
    assert (ROOT / "docs" / "contract.md").read_text("utf-8").split("\n")[0].endswith(f" {minewatch.__version__.split('.')[0]}")
    assert citation["authors"] == PROJECT["authors"] == [{"name": "the minewatch developers"}]


def test_conda_recipe_asks_for_what_the_project_asks_for() -> None:
    recipe = yaml.safe_load((PACKAGING / "conda" / "recipe.yaml").read_text("utf-8"))
    wanted = [re.fullmatch(r"([\w-]+)(.*)", line) for line in PROJECT["dependencies"]]
    assert recipe["requirements"]["run"][1:] == [f"{CONDA_NAMES.get(m[1], m[1])} {m[2]}" for m in wanted if m]


def test_list_of_parts_names_every_package(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py")
    path = tmp_path / "sbom.json"
    lock = ROOT / "requirements.lock"
    run(sys.executable, "-m", "cyclonedx_py", "requirements", lock, "--output-reproducible", "-o", path)
    parts = {part["name"] for part in json.loads(path.read_text("utf-8"))["components"]}
    assert parts == set(re.findall(r"^([^\s=]+)==", lock.read_text("utf-8"), re.MULTILINE))


# --- container ---------------------------------------------------------------------------------------------------------


def test_dockerfile_keeps_the_rules_of_its_kind() -> None:
    text = (PACKAGING / "Dockerfile").read_text("utf-8")
    images = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(images) == 2
    assert all(re.search(r":\d", image) for image in images), "an image without a version is another one tomorrow"
    assert re.findall(r"^(USER|HEALTHCHECK|ENTRYPOINT|CMD) ", text, re.MULTILINE) == ["USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"]
    assert re.findall(r"^RUN (.+)", text, re.MULTILINE) == [
        "sh packaging/container.sh install /opt/minewatch",
        "apt-get update \\",
        "sh /opt/minewatch/container.sh warm /opt/minewatch",
    ]
    copied = set((ROOT / ".dockerignore").read_text("utf-8").split())
    assert {"!minewatch", "!packaging", "!pyproject.toml", "!README.md", "!LICENSE", "!requirements-image.lock"} <= copied


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    linter = Path(sysconfig.get_path("scripts"), "hadolint")
    if not linter.is_file():
        pytest.skip("hadolint is not installed")
    run(linter, "--failure-threshold", "style", PACKAGING / "Dockerfile")


def test_compose_gives_no_rights() -> None:
    (service,) = yaml.safe_load((PACKAGING / "compose.yaml").read_text("utf-8"))["services"].values()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert (PACKAGING / service["build"]["context"] / service["build"]["dockerfile"]).samefile(PACKAGING / "Dockerfile")


def test_the_steps_of_the_container_work_and_a_scan_after_them_compiles_nothing(tmp_path: Path) -> None:
    """Packages come from this environment, as a test uses no network; all else is as in the container."""
    place, compiled = tmp_path / "place", tmp_path / "compiled"
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("minewatch", "packaging", "pyproject.toml", "README.md", "LICENSE"):
        (checkout / name).symlink_to(ROOT / name)
    (checkout / "requirements-image.lock").touch()
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CPU_NAME"}
    environment |= {"PYTHONPATH": sysconfig.get_path("purelib"), "NUMBA_CACHE_DIR": str(compiled)}
    pip = {"PIP_ARGUMENTS": "--no-index --no-build-isolation"}
    run("sh", STEPS, "install", place, cwd=checkout, env=environment | pip)
    said = run("sh", STEPS, "warm", place, cwd=tmp_path, env=environment)
    assert str(compiled) in said
    python = place / "bin" / "python"
    where = run(python, "-c", "import minewatch; print(minewatch.__file__)", cwd=tmp_path, env=environment)
    assert Path(where.strip()).is_relative_to(place)
    compiled.chmod(0o555)
    assert run(python, "-c", SCAN, tmp_path, cwd=tmp_path, env=environment) == ""
