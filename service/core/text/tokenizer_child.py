"""Checks and tries a tokenizer's file in a process of its own, within limits of memory and CPU.

Run as ``python -m service.core.text.tokenizer_child MAX_CHARACTERS``: the file on stdin, on stdout
one line of JSON, ``{"fault": "..."}`` or ``{"size": N}``, and then the file written anew. What the
library does with a hostile file is this process's loss: it may abort, or be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

from service.core.text.tokenizer_checks import CheckedFile, TokenizerRefused, checked

MAX_MEMORY = 2 * 2**30
"""Bytes of address space."""
MAX_CPU_SECONDS = 20
TRIALS = (
    "",
    " \t\n\r ",
    "Ordinary words, 12,345.67 and a final full stop.",
    "Ĝis la revido! Да. \u039d\u03b1\u03b9. 日本語と中文。 한국어. שלום עולם مرحبا",
    "e\u0301 a\u0308\u0323 \u1e9b\u0323 \ufdfa \u0130 \ufb01 \u2460",
    "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 👍🏽 🇪🇺",
    "\u0000\u0001\u200b\u200e\u202e\ufeff\ufffd\U0010ffff",
)
REPEATED = ("a", " ", "é", "中", "👍", "\u0301", "a ", "a.", "##")
"""Parts of long texts: what grows or backtracks does so here."""


def main() -> None:
    """Answer on stdout; the exit status is 0 unless the limits or the library end the process."""
    _confine()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print
    try:
        found = checked(sys.stdin.buffer.read())
        _try(found, int(sys.argv[1]))
    except TokenizerRefused as refused:
        output.write(json.dumps({"fault": str(refused)}).encode() + b"\n")
    else:
        output.write(json.dumps({"size": found.size}).encode() + b"\n" + found.data)
    output.close()


def _try(found: CheckedFile, most: int) -> None:
    """Open the file with the library, and encode texts.

    Raises:
        TokenizerRefused: the library refuses, or fails.
    """
    from tokenizers import Tokenizer

    texts = [*TRIALS, *((part * most)[:most] for part in REPEATED)]
    try:
        tokenizer = Tokenizer.from_buffer(found.data)
        for text in texts:
            tokenizer.encode(text[:most])
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of the library is no Exception
        raise TokenizerRefused(f"cannot be used: {str(error)[:200]}") from None


def _confine() -> None:
    """Limit this process's memory and CPU time, where the system can."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))


if __name__ == "__main__":
    main()
