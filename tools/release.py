"""``make release``: cuts notes from the changelog, and signs the check sums of all files.

ssh-keygen signs and verifies offline: every maintainer has it and a key; git uses the same key for
the tag. One signature, over ``SHA256SUMS``, covers the notes and every file beside them.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

SUMS = "SHA256SUMS"
SIGNATURE = f"{SUMS}.sig"
NOTES = "NOTES.md"
NAMESPACE = "potoo-release"
"""Scope of the signature: one for another purpose is not valid here (ssh-keygen(1), -n)."""
DEPLOY = Path(__file__).parents[1] / "deploy"
SIGNERS = DEPLOY / "allowed_signers"


class ReleaseError(Exception):
    """A release cannot be created or verified. The message is for people."""


def main() -> None:
    """Run the verb of the command line."""
    given = _arguments()
    try:
        match given.verb:
            case "notes":
                text = notes(given.changelog.read_text(), given.version)
                (given.folder / NOTES).write_text(text)
            case "sign":
                sign(given.folder, given.key)
                print(f"signed: {given.folder / SIGNATURE}")
            case "verify":
                print(f"{verify(given.folder, given.signers)} signed this; every file is whole")
    except (ReleaseError, OSError) as error:
        sys.exit(f"release: {error}")


def notes(changelog: str, version: str) -> str:
    """Return the changelog's section of a version, under a heading with its name.

    Raises:
        ReleaseError: the section is missing, or still marked unreleased.
    """
    for section in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        if found := re.match(rf"(Unreleased: )?{re.escape(version)}(?![\w.])", title):
            if found[1]:
                raise ReleaseError(f"the changelog still calls {version} unreleased")
            return f"# Potoo {title.strip()}\n\n{body.strip()}\n"
    raise ReleaseError(f"the changelog has no section about {version}")


def sign(folder: Path, key: Path) -> None:
    """Write the check sums of all files in the folder, and a signature over them.

    Args:
        key: a private SSH key; for a public one, the agent or a hardware token signs.

    Raises:
        ReleaseError: ssh-keygen cannot sign with the key.
    """
    (folder / SIGNATURE).unlink(missing_ok=True)
    sums = folder / SUMS
    sums.write_text("".join(f"{_sum(file)}  {file.name}\n" for file in _files(folder)))
    _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, str(sums))


def verify(folder: Path, signers: Path = SIGNERS) -> str:
    """Verify the signature and the files; return the signer's name in ``signers``.

    Raises:
        ReleaseError: the signer is unknown, or a file is missing, additional or changed.
    """
    sums, signature = folder / SUMS, folder / SIGNATURE
    # The signer is found by the key, so that the caller need not name one.
    found = _ssh_keygen("find-principals", "-s", str(signature), "-f", str(signers))
    name = found.splitlines()[0]
    options = ("-f", str(signers), "-I", name, "-n", NAMESPACE, "-s", str(signature))
    _ssh_keygen("verify", *options, read=sums)
    expected = {
        name: digest for digest, name in (line.split() for line in sums.read_text().splitlines())
    }
    there = {file.name: _sum(file) for file in _files(folder)}
    wrong = sorted(
        {name for name, digest in expected.items() if there.get(name) != digest}
        | (there.keys() - expected.keys())
    )
    if wrong:
        raise ReleaseError(f"not as it was signed: {', '.join(wrong)}")
    return name


def _files(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.iterdir() if file.is_file() and file.name not in {SUMS, SIGNATURE}
    )


def _sum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _ssh_keygen(verb: str, *options: str, read: Path | None = None) -> str:
    """Run ``ssh-keygen -Y``; return its output. ``read``: file for its standard input."""
    command = ["ssh-keygen", "-Y", verb, *options]
    try:
        done = subprocess.run(  # noqa: S603 - our own words and paths
            command,
            input=read.read_bytes() if read else b"",
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise ReleaseError("ssh-keygen (OpenSSH) is not installed") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip() or "no match"
        raise ReleaseError(f"ssh-keygen -Y {verb}: {said}")
    return done.stdout.decode()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=DEPLOY.parent / "dist", help="with the files"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    cut = verbs.add_parser("notes", help=f"cut {NOTES} from the changelog")
    cut.add_argument("--version", required=True)
    cut.add_argument("--changelog", type=Path, default=DEPLOY.parent / "CHANGELOG.md")
    signing = verbs.add_parser("sign", help="sign the files of a folder")
    signing.add_argument("--key", type=Path, required=True, help="such as ~/.ssh/id_ed25519")
    checking = verbs.add_parser("verify", help="who signed, and is every file whole?")
    checking.add_argument("--signers", type=Path, default=SIGNERS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
