"""Runs Prometheus with the shipped configuration at other addresses, for tests and pictures.

``moved`` makes the only changes to ``prometheus.yml``.
"""

# ruff: noqa: ANN401 - JSON has any type

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

FOLDER = Path(__file__).parents[2] / "deploy/prometheus"
DISCOVERIES = ("dns_sd_configs", "file_sd_configs", "static_configs")
START_SECONDS = 60


def moved(rules: Path, addresses: Mapping[str, Sequence[str]], interval: str) -> dict[str, Any]:
    """Return the shipped configuration for other addresses.

    Args:
        rules: the folder to read rules from.
        addresses: of each job, in place of the names of compose's own network.
        interval: between scrapes and between evaluations.
    """
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["rule_files"] = [f"{rules}/*.yaml"]
    config["global"] |= {
        "scrape_interval": interval,
        "scrape_timeout": interval,
        "evaluation_interval": interval,
    }
    for job in config["scrape_configs"]:
        for discovery in DISCOVERIES:
            job.pop(discovery, None)
        job.pop("scrape_interval", None)
        job["static_configs"] = [{"targets": list(addresses.get(job["job_name"], ()))}]
    return config


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus. ``log``: its standard error."""

    url: str
    log: Path

    def value(self, query: str) -> list[dict[str, Any]]:
        """Return the series of a query now."""
        return self._ask("query", query=query)["result"]  # type: ignore[no-any-return]

    def value_at(self, query: str, at: float) -> list[dict[str, Any]]:
        """Return the series of a query at a time."""
        return self._ask("query", query=query, time=at)["result"]  # type: ignore[no-any-return]

    def course(
        self, query: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the series of a query over a period: labels, and points (time, value)."""
        found = self._ask("query_range", query=query, start=start, end=end, step=step)["result"]
        return [
            (one["metric"], [(float(at), float(value)) for at, value in one["values"]])
            for one in found
        ]

    def get(self, path: str, **parameters: object) -> Any:
        """Return ``data`` of any call of the API."""
        return self._ask(path, **parameters)

    def _ask(self, path: str, **parameters: Any) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        document = answer.json()
        if document["status"] != "success":
            raise ValueError(f"{parameters}: {document['error']}")
        return document["data"]


@contextmanager
def running(folder: Path, port: int, config: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Run Prometheus on 127.0.0.1 with its data in ``folder``; stop it at the end.

    Raises:
        OSError: Prometheus is not installed, or does not start.
    """
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(config)))
    log = folder / "prometheus.log"
    command = [
        *("prometheus", f"--config.file={folder / 'prometheus.yml'}"),
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, stdout=stderr)  # noqa: S603 - as above
    found = Prometheus(f"http://127.0.0.1:{port}", log)
    try:
        _until_ready(found, process)
        yield found
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        finally:
            process.kill()


def _until_ready(server: Prometheus, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            if httpx.get(f"{server.url}/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise OSError(server.log.read_text())
