"""``make pin-images``: pins every image in ``images.lock`` to the current digest of its tag.

A tag can be moved to other content, a digest cannot. Docker's own tool queries the registry, since
it knows its mirrors and log-ins. Needs nothing else but Python.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LOCK = Path(__file__).parents[1] / "deploy/images.lock"
LINE = re.compile(r"(?P<name>[A-Z_]+)=(?P<tagged>[^@\s]+)(@(?P<digest>sha256:[0-9a-f]{64}))?")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class NotResolvedError(Exception):
    """The registry could not be reached, or gave no digest; the message is the tool's."""


def main() -> None:
    """Rewrite the lock, or leave it unchanged and print the reason."""
    try:
        before = LOCK.read_text()
        after = pinned(before, digest_of)
    except NotResolvedError as error:
        sys.exit(f"images.lock is left as it is: {error}")
    LOCK.write_text(after)
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    print("\n".join(changed) or "nothing has changed")


def pinned(lock: str, resolve: Callable[[str], str]) -> str:
    """Return the lock with current digests: all of them, or an error.

    Args:
        resolve: returns the digest of a tagged image.

    Raises:
        NotResolvedError: from ``resolve``.
    """
    lines = []
    for line in lock.splitlines():
        if found := LINE.fullmatch(line):
            name, tagged = found["name"], found["tagged"]
            lines.append(f"{name}={tagged}@{resolve(tagged)}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def digest_of(tagged: str) -> str:
    """Return the digest of the multi-platform index, so that the lock holds for ARM and x86.

    Raises:
        NotResolvedError: the query failed; the message ends with the tool's last line.
    """
    command = ["docker", "buildx", "imagetools", "inspect", tagged]
    try:
        done = subprocess.run(  # noqa: S603 - the names are those of the lock
            [*command, "--format", "{{.Manifest.Digest}}"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise NotResolvedError("docker is not installed") from None
    digest = done.stdout.strip()
    if done.returncode or not DIGEST.fullmatch(digest):
        said = (done.stderr.strip() or digest or "no answer").splitlines()[-1]
        if "--help" in said:  # Docker prints this for an unknown command
            said = "this Docker has no buildx"
        raise NotResolvedError(f"docker buildx cannot tell the digest of {tagged}: {said}")
    return digest


if __name__ == "__main__":
    main()
