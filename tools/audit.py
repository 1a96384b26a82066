"""``make audit``: checks the locked packages for known vulnerabilities, by pip-audit.

pip-audit reports "no known vulnerabilities" and success even if the database knew none of the
packages, as behind an index that only mirrors files. Here that is a failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HOLES, UNKNOWN = 1, 2
LOCKS = ("requirements.txt",)


def main() -> None:
    """Run pip-audit with the arguments given; exit 0, 1 for vulnerabilities, 2 if unknown."""
    program = Path(sys.executable).with_name("pip-audit")  # of the same environment
    command = [str(program), "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    locks = [f"--requirement={lock}" for lock in LOCKS]
    done = subprocess.run(  # noqa: S603 - our own words
        [*command, *locks, "--format=json", *sys.argv[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    status, lines = verdict(done.stdout, done.stderr)
    print("\n".join(lines), file=sys.stderr if status else sys.stdout)
    sys.exit(status)


def verdict(report: str, errors: str) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print.

    Args:
        report: pip-audit's JSON, empty if it failed before the report.
        errors: its standard error.
    """
    try:
        found: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        last = (errors.strip() or "pip-audit said nothing").splitlines()[-1]
        return UNKNOWN, [f"The database could not be asked, so nothing is known: {last}"]
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}"
        f" (fixed in {', '.join(hole['fix_versions']) or 'no version yet'})"
        for package in found
        for hole in package.get("vulns", ())
    ]
    skipped = [package for package in found if "skip_reason" in package]
    if holes:
        return HOLES, [f"{len(holes)} known holes:", *holes]
    if skipped:
        why = skipped[0]["skip_reason"]
        return UNKNOWN, [f"{len(skipped)} of {len(found)} packages could not be looked up: {why}"]
    return 0, [f"{len(found)} packages, no known holes"]


if __name__ == "__main__":
    main()
