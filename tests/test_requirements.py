"""The requirements are complete lists with hashes, made of the short list in pyproject.toml; the image has a digest."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = {
    "app": ROOT / "requirements.txt",
    "postgresql": ROOT / "webapp" / "storage" / "requirements.txt",
    "oidc": ROOT / "webapp" / "oidc" / "requirements.txt",
    "tests": ROOT / "tests" / "requirements.txt",
}

each_lock = pytest.mark.parametrize("group", LOCKS)


def short_list(group: str) -> Iterator[Requirement]:
    """The requirements that people wrote down."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for item in groups[group]:
        if isinstance(item, str):
            yield Requirement(item)
        else:
            yield from short_list(item["include-group"])


def entries(group: str) -> list[str]:
    """Each locked requirement with all that belongs to it on one line."""
    lines = [line for line in LOCKS[group].read_text().splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def locked(group: str) -> dict[str, Requirement]:
    """The locked requirements by name."""
    requirements = [Requirement(entry.split("--hash", 1)[0].strip()) for entry in entries(group)]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def version(requirement: Requirement) -> str:
    (only,) = requirement.specifier
    assert only.operator == "=="
    return only.version


@each_lock
def test_every_entry_is_one_version_with_its_hashes(group):
    for entry in entries(group):
        assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; [^-]+?)?( +--hash=sha256:[0-9a-f]{64})+", entry), entry[:100]


@each_lock
def test_the_lock_satisfies_the_short_list(group):
    versions = {name: version(requirement) for name, requirement in locked(group).items()}

    for wanted in short_list(group):
        assert versions[canonicalize_name(wanted.name)] in wanted.specifier, wanted


@each_lock
def test_the_lock_names_what_its_packages_need(group):
    extras = {canonicalize_name(wanted.name): wanted.extras for wanted in short_list(group)}
    here = {name: one for name, one in locked(group).items() if one.marker is None or one.marker.evaluate()}

    for name in here:
        for line in requires(name) or []:
            needed = Requirement(line)
            asked = [{"extra": extra} for extra in ("", *extras.get(name, ()))]
            if needed.marker is None or any(map(needed.marker.evaluate, asked)):
                assert canonicalize_name(needed.name) in here, f"{name} needs {line}"


def test_the_tests_run_with_the_versions_that_the_app_gets():
    app, tests = locked("postgresql") | locked("oidc") | locked("app"), locked("tests")

    assert {name: version(tests[name]) for name in app} == {name: version(one) for name, one in app.items()}


@each_lock
def test_the_lock_names_no_server_and_no_folder(group):
    text = LOCKS[group].read_text()

    assert not re.search(r"://|--index|--find-links|file:|/tmp|/home|/root", text)


def test_the_image_is_named_by_its_digest():
    images = re.findall(r"^FROM (.*)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)

    assert images
    assert all(re.search(r"@sha256:[0-9a-f]{64}( AS \w+)?$", image) for image in images)
