"""``python -m benchmarks.text``: texts a second through ``/v1/preprocess/text``, and in-process.

In each round the library's ``encode_batch`` runs in this process, with and without its own threads,
and then clients post the same batch; so both have the machine to themselves, and its drift hits
both. The texts are pieces of our documents; the library gets them in their normal form.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.support import load, results, subject
from service.modeltools.sources.built_in import BUNDLED_MODELS, put
from training.recipes.language.data import normal

FOLDER = BUNDLED_MODELS / "language/1"
CLIENTS = (1, 2, 4)
GOAL = 0.7


@dataclass(frozen=True, slots=True)
class Round:
    """Texts a second: of the library, and over HTTP by clients.

    Attributes:
        library: ``encode_batch`` with the library's threads; ``one_thread``: with one.
        fast: ``encode_batch_fast`` with its threads: without offsets, as the server asks for them.
        library_cpu_ms: CPU time of the library for a batch; ``cpu_ms``: of the server.
    """

    library: float
    one_thread: float
    fast: float
    http: dict[int, float]
    errors: float
    library_cpu_ms: float
    cpu_ms: float


def main() -> None:
    """Measure; print a table and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-text", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--batch", type=int, default=64, help="texts in a request")
    parser.add_argument("--characters", type=int, default=400, help="of a text")
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    arguments = parser.parse_args()
    texts = _texts(arguments.batch, arguments.characters)
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name) / "models"
        put("language", repository, lambda _: None, lambda line: print(line, file=sys.stderr))
        with subject.running(repository) as running:
            server = replace(running, path="/v1/preprocess/text")
            rounds = [_round(server, texts, arguments.seconds) for _ in range(arguments.rounds)]
    ratios = _print(rounds)
    if not arguments.no_write:
        facts = {
            "batch": arguments.batch,
            "characters": arguments.characters,
            "rounds": [asdict(one) for one in rounds],
            "ratios": ratios,
        }
        print(f"written to {results.write('text', facts)}")


def _texts(count: int, characters: int) -> list[str]:
    words = " ".join(
        file.read_text() for file in sorted((subject.ROOT / "docs").glob("*.md"))
    ).split()
    pieces: list[str] = []
    place = 0
    while len(pieces) < count:
        piece = ""
        while len(piece) < characters:
            piece += words[place % len(words)] + " "
            place += 1
        pieces.append(piece[:characters])
    return pieces


def _round(server: subject.Subject, texts: list[str], seconds: float) -> Round:
    library = _in_process(texts, seconds, is_parallel=True)
    began = time.process_time()
    one_thread = _in_process(texts, seconds, is_parallel=False)
    library_cpu_ms = 1000 * (time.process_time() - began) * len(texts) / (one_thread * seconds)
    fast = _in_process(texts, seconds, is_parallel=True, is_fast=True)
    body = json.dumps({"texts": texts}).encode()
    http, errors, cpu_ms = {}, 0.0, 0.0
    for clients in CLIENTS:
        before = server.cpu_seconds()
        seen = load.post(
            server.endpoint,
            body,
            "application/json",
            server.token,
            clients=clients,
            seconds=seconds,
        )
        cpu_ms = 1000 * (server.cpu_seconds() - before) / max(seen.requests, 1)
        server.settle()
        http[clients] = seen.per_second * len(texts)
        errors += seen.errors
    return Round(library, one_thread, fast, http, errors, library_cpu_ms, cpu_ms)


def _in_process(
    texts: list[str], seconds: float, *, is_parallel: bool, is_fast: bool = False
) -> float:
    """Return texts a second of ``encode_batch`` alone."""
    os.environ["TOKENIZERS_PARALLELISM"] = str(is_parallel).lower()
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    encode = tokenizer.encode_batch_fast if is_fast else tokenizer.encode_batch
    given, count = [normal(text) for text in texts], 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        count += len(encode(given))
    return count / (time.perf_counter() - began)


def _print(rounds: list[Round]) -> dict[str, float]:
    """Print medians; return the ratios to the library, medians over rounds."""
    print(f"library            {statistics.median(one.library for one in rounds):10.0f} texts/s")
    print(f"  with one thread  {statistics.median(one.one_thread for one in rounds):10.0f}")
    print(f"  without offsets  {statistics.median(one.fast for one in rounds):10.0f}")
    ratios = {}
    for clients in CLIENTS:
        rate = statistics.median(one.http[clients] for one in rounds)
        ratio = statistics.median(one.http[clients] / one.library for one in rounds)
        of_fast = statistics.median(one.http[clients] / one.fast for one in rounds)
        ratios[str(clients)] = round(ratio, 3)
        print(
            f"HTTP, {clients} clients    {rate:10.0f} texts/s {ratio:7.0%} {of_fast:7.0%} of fast"
        )
    of_library = statistics.median(one.library_cpu_ms for one in rounds)
    of_server = statistics.median(one.cpu_ms for one in rounds)
    print(f"CPU time of a batch: library {of_library:.2f} ms, server {of_server:.2f} ms")
    print(f"errors: {sum(one.errors for one in rounds):.0f}; goal: {GOAL:.0%}")
    return ratios


if __name__ == "__main__":
    main()
