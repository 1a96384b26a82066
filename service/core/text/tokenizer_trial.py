"""The trial of a tokenizer's file in a limited process, before the server itself opens it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from service.core.text.tokenizer_checks import CheckedFile, TokenizerRefused
from service.core.text.tokenizer_child import MAX_CPU_SECONDS, MAX_MEMORY

COMMAND = (sys.executable, "-P", "-m", "service.core.text.tokenizer_child")
_ROOT = Path(__file__).parents[3]
_KEPT = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV"})
_PREFIXES = ("PYTHON", "COVERAGE_")
TIMEOUT_SECONDS = 120.0
"""On a machine that is busy; the CPU time is limited besides."""
_OVER = f"needs more than {MAX_MEMORY // 2**30} GiB of memory or {MAX_CPU_SECONDS} s of CPU time"


def tried(data: bytes, max_characters: int, timeout: float = TIMEOUT_SECONDS) -> CheckedFile:
    """Check a tokenizer's file and encode texts with it, in a process of its own. Blocks.

    Args:
        max_characters: the longest text that the tokenizer will be given.
        timeout: seconds until the process is killed.

    Raises:
        TokenizerRefused: a check fails, or the process does not survive.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            [*COMMAND, str(max_characters)],
            input=data,
            capture_output=True,
            check=False,
            timeout=timeout,
            env=_environment(),
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise TokenizerRefused(f"is not tried within {timeout:g} s") from None
    except OSError as error:
        raise TokenizerRefused(f"cannot be tried: {error.strerror}") from error
    if done.returncode in {-signal.SIGKILL, -signal.SIGXCPU, -signal.SIGABRT}:
        raise TokenizerRefused(_OVER)
    line, _, written = done.stdout.partition(b"\n")
    if done.returncode or not line:
        is_memory = b"MemoryError" in done.stderr or b"memory allocation" in done.stderr
        raise TokenizerRefused(_OVER if is_memory else "ends the process that tries it")
    answer = json.loads(line)
    if "fault" in answer:
        raise TokenizerRefused(str(answer["fault"]))
    return CheckedFile(written, int(answer["size"]))


def _environment() -> dict[str, str]:
    """Return what Python needs: the process reads a hostile file and gets no secrets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_PREFIXES)
    }
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "TOKENIZERS_PARALLELISM": "false"}
