"""Images in use, and pinning of their digests."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tools import pin_images
from tools.pin_images import LINE, LOCK, NotResolvedError, digest_of, pinned

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
UNPINNED = "# why\nA_IMAGE=a:1\nB_IMAGE=b:2-slim\n"


def test_every_image_gets_the_digest_of_its_tag() -> None:
    digests = {"a:1": ONE, "b:2-slim": TWO}
    locked = pinned(UNPINNED, digests.__getitem__)
    assert locked == UNPINNED.replace("a:1", f"a:1@{ONE}").replace("b:2-slim", f"b:2-slim@{TWO}")
    assert pinned(locked, digests.__getitem__) == locked


def test_outdated_digest_is_replaced() -> None:
    old = f"A_IMAGE=a:1@{ONE}\n"
    assert pinned(old, lambda _: TWO) == f"A_IMAGE=a:1@{TWO}\n"


def docker(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A fake ``docker`` on PATH that runs the given script."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.process
def test_docker_is_asked_for_the_multi_platform_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(tmp_path, monkeypatch, f'echo "$*" > {tmp_path}/asked; echo {ONE}')
    assert digest_of("a:1") == ONE
    asked = (tmp_path / "asked").read_text().strip()
    assert asked == ("buildx imagetools inspect a:1 --format {{.Manifest.Digest}}")


@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'ERROR: no such host' >&2; exit 1", "ERROR: no such host"),
        ("echo nonsense", "nonsense"),
        ("echo \"Run 'docker --help' for more\" >&2; exit 1", "this Docker has no buildx"),
        ("true", "no answer"),
    ],
)
def test_failed_lookup_leaves_the_lock_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    docker(tmp_path, monkeypatch, script)
    lock = tmp_path / "images.lock"
    lock.write_text(UNPINNED)
    monkeypatch.setattr(pin_images, "LOCK", lock)
    with pytest.raises(SystemExit) as ended:
        pin_images.main()
    assert str(ended.value).startswith("images.lock is left as it is: ")
    assert str(ended.value).endswith(why)
    assert lock.read_text() == UNPINNED


@pytest.mark.process
def test_missing_docker_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotResolvedError, match="docker is not installed"):
        digest_of("a:1")


# The lock that is committed


def test_every_lock_line_is_an_image_with_a_tag() -> None:
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        found = LINE.fullmatch(line)
        assert found, line
        assert re.fullmatch(r"[a-z/-]+:[\w.-]+", found["tagged"]), line
        assert not found["tagged"].endswith(":latest")


def test_dockerfile_base_image_is_in_the_lock() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert set(bases) == {"${PYTHON_IMAGE}"}
    default = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    assert default
    assert f"PYTHON_IMAGE={default[1]}" in LOCK.read_text()


def test_docker_build_context_is_exactly_what_is_copied() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert len(names) > 5
    assert {f"!{name}" for name in names} == {line for line in sent if line.startswith("!")}
    assert all((ROOT / name).exists() for name in names)


def test_extras_of_the_image_are_locked_as_the_project_names_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    dockerfile = (ROOT / "Dockerfile").read_text()
    found = re.search(r'case "\$extra" in (\S+)\)', dockerfile)
    assert found
    tools = (ROOT / "requirements-dev.txt").read_text()
    for extra in found[1].split("|"):
        wanted = project["project"]["optional-dependencies"][extra]
        assert project["dependency-groups"][extra] == wanted
        lock = (ROOT / f"requirements-{extra}.txt").read_text()
        assert f"requirements-{extra}.txt" in dockerfile
        assert lock.startswith(tuple(re.split(r"[>=]", one)[0] for one in wanted))
        assert lock in tools, "the tests run with it"


def test_image_has_descriptive_labels_and_an_sbom() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", dockerfile))
    assert labels >= {"title", "licenses", "version", "revision", "created", "source"}
    assert "/usr/share/sbom" in dockerfile
