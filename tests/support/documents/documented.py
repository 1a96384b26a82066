"""The code of documents, as tests run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.processes.environment import clean_environment
from tests.support.repository import ROOT
from tests.support.servers.server import LiveServer
from tests.support.waiting import PATIENCE

ADDRESS = "http://127.0.0.1:8000"
"""The server's address in documents."""


def examples_of(document: str, heading: str, language: str) -> list[str]:
    """The pieces of code of a language below a heading of level 2, in order."""
    text = (ROOT / document).read_text()
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    pieces = re.findall(rf"```{language}\n(.*?)```", found[1], re.DOTALL)
    assert pieces, (heading, language)
    return pieces


def run_example(code: str, language: str, server: LiveServer, token: str, folder: Path) -> str:
    """Run a piece of code, ``sh`` or ``python``, in a folder, and return what it prints.

    ``TOKEN`` is the environment's, and the documented address becomes the server's.
    """
    runs = {"sh": ("/bin/sh", "-euc"), "python": (sys.executable, "-c")}
    done = subprocess.run(
        [*runs[language], code.replace(ADDRESS, server.url)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), TOKEN=token, PATH=os.environ["PATH"]),
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
