"""A release is signed with a temporary key, and refused if any file changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.servers.databases import missing
from tools.release import NOTES, SIGNATURE, SUMS, ReleaseError, main, notes, sign, verify

pytestmark = pytest.mark.process

CHANGELOG = """# Changelog

For users.

## Unreleased: 1.3.0

- Not yet.

## 1.2.0 (2026-11-01)

- New.

### Upgrading

- Copy first.

## 1.20.0

- Another.

## 1.1.0

- Old.
"""


# Notes


def test_notes_are_the_changelog_section_of_the_version() -> None:
    text = "# Potoo 1.2.0 (2026-11-01)\n\n- New.\n\n### Upgrading\n\n- Copy first.\n"
    assert notes(CHANGELOG, "1.2.0") == text
    assert notes(CHANGELOG, "1.1.0") == "# Potoo 1.1.0\n\n- Old.\n"


@pytest.mark.parametrize("version", ["1.2", "2.0", "1.2.00", "2026"])
def test_a_version_without_a_section_is_refused(version: str) -> None:
    with pytest.raises(ReleaseError, match="no section about"):
        notes(CHANGELOG, version)


def test_unreleased_version_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"still calls 1\.3\.0 unreleased"):
        notes(CHANGELOG, "1.3.0")


# Signatures


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a maintainer's key, another key, and the file of permitted signers."""
    if not shutil.which("ssh-keygen"):
        missing("ssh-keygen")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("maintainer", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", ""]
        subprocess.run([*command, "-f", str(folder / name)], check=True)
    public = (folder / "maintainer.pub").read_text()
    (folder / "signers").write_text(f'anna namespaces="git,potoo-release" {public}')
    return folder


@pytest.fixture
def release(tmp_path: Path, keys: Path) -> Path:
    """A signed release."""
    (tmp_path / "potoo-1.2.0-py3-none-any.whl").write_bytes(b"\x00wheel")
    (tmp_path / NOTES).write_text(notes(CHANGELOG, "1.2.0"))
    sign(tmp_path, keys / "maintainer")
    return tmp_path


def test_verification_names_the_signer(release: Path, keys: Path) -> None:
    assert verify(release, keys / "signers") == "anna"


def test_checksums_are_accepted_by_sha256sum(release: Path) -> None:
    if not shutil.which("sha256sum"):
        missing("sha256sum")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=release, capture_output=True, check=True
    )
    assert done.stdout.decode().count(": OK") == 2


def test_signing_again_covers_added_files(release: Path, keys: Path) -> None:
    (release / "more.json").write_text("{}")
    sign(release, keys / "maintainer")
    assert verify(release, keys / "signers") == "anna"


def test_changed_file_is_named(release: Path, keys: Path) -> None:
    (release / NOTES).write_text("# Potoo 1.2.0\n\n- Nothing to see here.\n")
    with pytest.raises(ReleaseError, match=rf"not as it was signed: {NOTES}$"):
        verify(release, keys / "signers")


def test_missing_and_additional_files_are_named(release: Path, keys: Path) -> None:
    (release / NOTES).unlink()
    (release / "added.whl").write_bytes(b"")
    with pytest.raises(ReleaseError, match=f"{NOTES}, added.whl$"):
        verify(release, keys / "signers")


def test_changed_checksums_are_refused(release: Path, keys: Path) -> None:
    sums = release / SUMS
    sums.write_text(sums.read_text().replace("0", "1"))
    with pytest.raises(ReleaseError, match="ssh-keygen -Y verify"):
        verify(release, keys / "signers")


def test_signature_of_an_unknown_key_is_refused(release: Path, keys: Path) -> None:
    sign(release, keys / "stranger")
    with pytest.raises(ReleaseError, match="ssh-keygen -Y find-principals"):
        verify(release, keys / "signers")


def test_signature_for_another_namespace_is_refused(release: Path, keys: Path) -> None:
    (release / SIGNATURE).unlink()
    command = ["ssh-keygen", "-Y", "sign", "-f", str(keys / "maintainer"), "-n", "file"]
    subprocess.run([*command, str(release / SUMS)], check=True, capture_output=True)
    with pytest.raises(ReleaseError, match="ssh-keygen -Y verify"):
        verify(release, keys / "signers")


def test_missing_signature_is_refused(release: Path, keys: Path) -> None:
    (release / SIGNATURE).unlink()
    with pytest.raises(ReleaseError, match=r"find-principals: .*No such file"):
        verify(release, keys / "signers")


def test_signer_outside_the_repositorys_list_is_refused(release: Path) -> None:
    with pytest.raises(ReleaseError, match="find-principals: No principal matched"):
        verify(release)


def test_missing_key_creates_no_signature(release: Path, keys: Path) -> None:
    with pytest.raises(ReleaseError, match="ssh-keygen -Y sign"):
        sign(release, keys / "missing")
    assert not (release / SIGNATURE).exists()


def test_command_line_signs_and_verifies(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(CHANGELOG)
    folder = tmp_path / "dist"
    folder.mkdir()

    def run(*arguments: str) -> None:
        monkeypatch.setattr("sys.argv", ["release", "--folder", str(folder), *arguments])
        main()

    run("notes", "--version", "1.2.0", "--changelog", str(changelog))
    run("sign", "--key", str(keys / "maintainer"))
    run("verify", "--signers", str(keys / "signers"))
    assert capsys.readouterr().out.endswith("anna signed this; every file is whole\n")
    (folder / NOTES).write_text("changed")
    with pytest.raises(SystemExit, match="release: not as it was signed"):
        run("verify", "--signers", str(keys / "signers"))


def test_git_signs_and_verifies_a_tag_with_the_same_key(tmp_path: Path, keys: Path) -> None:
    if not shutil.which("git"):
        missing("git")
    nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*arguments: str) -> str:
        settings = ["user.name=a", "user.email=a@example.org", "gpg.format=ssh"]
        settings += [f"user.signingkey={keys / 'maintainer'}"]
        settings += [f"gpg.ssh.allowedSignersFile={keys / 'signers'}"]
        options = [word for setting in settings for word in ("-c", setting)]
        done = subprocess.run(
            ["git", *options, *arguments],
            cwd=tmp_path,
            env={**os.environ, **nobody},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "a")
    git("tag", "--sign", "v1.2.0", "--message", notes(CHANGELOG, "1.2.0"))
    assert 'Good "git" signature for anna' in git("verify-tag", "v1.2.0")


def test_project_changelog_has_notes_for_its_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text().replace("Unreleased: ", "")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert "\n- " in notes(text, version)
