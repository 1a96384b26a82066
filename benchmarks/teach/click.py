"""``python -m benchmarks.teach.click --data DIR``: from the last click to the version that answers.

Photos of two classes are labelled in a dataset of a running server. A run is begun, and the new
version is asked until it answers. Memory is compared with that before the first photo. The
folder has a folder of photos for each class.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import combinations
from pathlib import Path

import httpx
import psutil

from benchmarks.support import results, subject
from service.modeltools.sources.built_in import put

PAUSE = 0.02


def main() -> None:
    """Measure; print rows and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teach.click", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--base", default="imagenet", help="built-in model that is the base")
    parser.add_argument("--photos", type=int, default=20, help="of each class")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of classes")
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    given = parser.parse_args()
    names = sorted(path.name for path in given.data.iterdir() if path.is_dir())
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        put(given.base, Path(name), print, print)
        with subject.running(Path(name)) as server:
            headers = {"authorization": f"Bearer {server.token}"}
            with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
                for number, pair in enumerate(list(combinations(names, 2))[: given.rounds]):
                    folders = [given.data / one for one in pair]
                    rows.append(_round(client, server, f"pair{number}", folders, given))
                    print(pair, rows[-1])
    facts: dict[str, object] = {
        "data": given.data.name,
        "base": given.base,
        "photos": 2 * given.photos,
        "first_seconds": rows[0]["seconds"],
        "median_seconds": statistics.median(row["seconds"] for row in rows),
        "extra_mib": rows[0]["extra_mib"],
        "rounds": rows,
    }
    print({key: value for key, value in facts.items() if key != "rounds"})
    if not given.no_write:
        print(f"written to {results.write('teach-click', facts)}")


def _round(
    client: httpx.Client,
    server: subject.Subject,
    name: str,
    folders: list[Path],
    given: argparse.Namespace,
) -> dict[str, float]:
    before = _own_mib(server.process)
    classes = [folder.name for folder in folders]
    client.post("/v1/datasets", json={"name": name, "classes": classes}).raise_for_status()
    photo = b""
    for folder in folders:
        for path in sorted(folder.iterdir())[: given.photos]:
            photo = path.read_bytes()
            place = f"/v1/datasets/{name}/photos"
            headers = {"content-type": "image/jpeg"}
            client.post(
                place, params={"label": folder.name}, content=photo, headers=headers
            ).raise_for_status()
    server.settle()
    most = _own_mib(server.process)
    began = time.perf_counter()
    run = client.post(f"/v1/datasets/{name}/runs", json={"model": name, "base": given.base})
    run.raise_for_status()
    while True:
        answer = client.post(
            "/v1/classify",
            params={"model": name, "version": "candidate"},
            content=photo,
            headers={"content-type": "image/jpeg"},
        )
        if answer.status_code == httpx.codes.OK:
            break
        most = max(most, _own_mib(server.process))
        time.sleep(PAUSE)
    seconds = time.perf_counter() - began
    most = max(most, _own_mib(server.process))
    return {"seconds": seconds, "before_mib": before, "extra_mib": most - before}


def _own_mib(process: psutil.Process) -> float:
    """Return the memory that the processes of the server alone have, without shared pages."""
    found = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            found += one.memory_full_info().uss / 2**20
        except psutil.NoSuchProcess:
            continue
    return found


if __name__ == "__main__":
    main()
