"""A real Prometheus scrapes real servers: every query of dashboards, rules and runbooks works."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.callers.streams import opened
from tests.support.callers.traffic import Callers
from tests.support.cameras.snapshots import snapshot_camera
from tests.support.deploy.rules import ALERTS, RULES, RUNBOOKS
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import write_model
from tests.support.proxies.certificates import self_signed
from tests.support.repository import ROOT
from tests.support.results.mosquitto import mosquitto
from tests.support.results.receiver import receiving
from tests.support.sensors.loud_device import LoudDevice
from tests.support.sensors.tiny_series import LENGTH, write_series_model
from tests.support.servers.databases import free_port, missing
from tests.support.servers.issuer import Issuer
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until
from tools.grafana.panels import with_all_chosen
from tools.prometheus import thresholds
from tools.prometheus.running import Prometheus, moved, running
from tools.prometheus.thresholds import OBJECTIVES

pytestmark = pytest.mark.slow

INTERVAL = "1s"
RATE_INTERVAL = "10s"
ELSEWHERE = {
    ("overview", "Responses of Envoy", "{{envoy_response_code_class}}xx"),
    ("overview", "Certificates: days left", "{{instance}}"),  # of the public name
    ("overview", "Certificates: days left", "Envoy {{instance}}"),
    ("capacity", "Retries by Envoy", "retries"),
    ("capacity", "Retries by Envoy", "left out"),
}
"""Queries about components that do not run here: Envoy, and a public name."""
OF_A_SLOW_MACHINE = {"PotooLatencyBurnsFast", "PotooSaturated"}
"""Alerts that may fire correctly on a busy machine."""


class Question(NamedTuple):
    """A panel's query in the JSON that Grafana reads."""

    board: str
    panel: str
    legend: str
    expr: str

    @property
    def is_elsewhere(self) -> bool:
        return (self.board, self.panel, self.legend) in ELSEWHERE


def questions() -> Iterator[Question]:
    for path in sorted((ROOT / "deploy" / "grafana" / "json").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expr = with_all_chosen(target["expr"], RATE_INTERVAL)
                assert "$" not in expr
                yield Question(path.stem, panel["title"], target["legendFormat"], expr)


QUESTIONS = list(questions())


@dataclass(frozen=True)
class Scene:
    """Prometheus, two replicas, and callers of every kind."""

    prometheus: Prometheus
    servers: tuple[LiveServer, LiveServer]
    models: Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, issuer_of_all: Issuer) -> Iterator[Scene]:
    if shutil.which("prometheus") is None:
        missing("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    models, rules = folder / "models", folder / "rules"
    write_model(models)
    write_series_model(models)
    shutil.copytree(RULES, rules)
    measured = folder / "autoscaling.yaml"
    shipped = (ROOT / "deploy" / "autoscaling.yaml").read_text()
    measured.write_text(shipped.replace("imagenet", "colours"))
    (rules / "thresholds.yaml").write_text(thresholds.read(measured, OBJECTIVES))
    trusted = self_signed(folder, "replica")
    trusts = {"name": "shop", "issuer": issuer_of_all.url, "audience": ["potoo"], "scopes": {}}
    settings = {
        "POTOO_GRPC_PORT": "0",
        "POTOO_GRPC_TLS_CERT": str(folder / "cert.pem"),
        "POTOO_GRPC_TLS_KEY": str(folder / "key.pem"),
        "POTOO_AUTH__ISSUERS": json.dumps([trusts]),
        "POTOO_AUTH__SESSIONS_PER_ACCOUNT": "10000",
        "POTOO_AUTH__FAILURES_FREE": "0",
        "POTOO_DEFAULT_MODEL": "colours",
        "POTOO_MODELS_POLL_SECONDS": "0.5",
        "POTOO_DRIFT__MIN_ANSWERS": "10",
        "POTOO_DRIFT__REFERENCE_ANSWERS": "10",
    }
    outputs = {
        "POTOO_MQTT__HOST": "127.0.0.1",
        "POTOO_WEBHOOKS__SECRET": "a secret of the webhooks",
    }
    homes = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    port, sensors_port = free_port(), free_port()
    with (
        receiving() as receiver,
        mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker,
        serve(
            homes[0],
            models=models,
            arguments=(),
            POTOO_MQTT__PORT=str(broker.port),
            POTOO_SENSORS__TCP_PORT=str(sensors_port),
            # The target that hangs keeps an event waiting.
            POTOO_WEBHOOKS__URLS=json.dumps([f"{receiver.url}/hook", f"{receiver.url}/hang"]),
            **settings,
            **outputs,
        ) as a,
        serve(homes[1], models=models, arguments=(), **settings) as b,
    ):
        addresses = {
            "potoo": [f"{host}:{number}" for host, number in (a.address, b.address)],
            "prometheus": [f"127.0.0.1:{port}"],
        }
        config = moved(rules, addresses, INTERVAL)
        with (
            running(folder, port, config) as prometheus,
            watched_cameras(a),
            windows_all_the_time(a, sensors_port),
            streams_all_the_time(a),
            Callers(a, trusted).all_the_time(),
            Callers(b, trusted).all_the_time(),
        ):
            assert wait_until(lambda: len(prometheus.value('up{job="potoo"} == 1')) == 2)
            publish(models, 2)  # a swap
            try_as_shadow(a, 1)
            yield Scene(prometheus, (a, b), models)


def try_as_shadow(server: LiveServer, version: int) -> None:
    """Let copies of calls go to an old version, once a newer one is the default."""
    options = {"mode": "shadow", "version": version}
    with server.client("models:read models:write") as client:

        def is_old() -> bool:
            versions = client.get("/v1/models/colours").raise_for_status().json()["versions"]
            return any(one["default"] and one["version"] > version for one in versions)

        assert wait_until(is_old)
        client.put("/v1/models/colours/rollout", json=options).raise_for_status()


@contextmanager
def streams_all_the_time(server: LiveServer) -> Iterator[None]:
    """Streams that classify a frame and end, one after the other, until the block ends."""
    enough = threading.Event()

    def stream() -> None:
        while not enough.wait(1):
            with opened(server) as one:
                one.send_frame(1, plain())
                assert one.hear("result")["frame"] == 1

    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(stream)
        try:
            yield
        finally:
            enough.set()
        streaming.result()


@contextmanager
def watched_cameras(server: LiveServer) -> Iterator[None]:
    """A camera that works, and one that is away."""
    with snapshot_camera() as camera, server.client("cameras") as client:
        camera.show(plain(format="JPEG"))
        away = f"http://127.0.0.1:{free_port()}/snapshot.jpg"
        for name, url in (("door", camera.url), ("away", away)):
            body = {"name": name, "url": url, "silent_after_seconds": 86_400}
            client.post("/v1/cameras", json=body).raise_for_status()
        yield


@contextmanager
def windows_all_the_time(server: LiveServer, port: int) -> Iterator[None]:
    """A device whose samples have gaps, until the block ends."""
    enough = threading.Event()
    with server.client("sensors ingest") as client:
        body = {"name": "pump", "channels": 3, "rate": 100, "model": "loudest"}
        client.post("/v1/sensors", json=body).raise_for_status()
        token = client.headers["authorization"].removeprefix("Bearer ")

    def send() -> None:
        with closing(LoudDevice(port, token, "pump")) as device:
            while not enough.wait(0.5):
                device.send(0, skip=LENGTH)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            enough.set()
        sending.result()


def publish(models: Path, version: int, content: bytes | None = None) -> Path:
    """Add a version atomically, optionally with other ``content``."""
    made = write_model(models.parent / "spare", version=version)
    if content is not None:
        (made / "model.onnx").write_bytes(content)
    return made.rename(models / "colours" / str(version))


def firing(prometheus: Prometheus) -> dict[str, Any]:
    alerts = prometheus.get("alerts")["alerts"]
    return {alert["labels"]["alertname"]: alert for alert in alerts if alert["state"] == "firing"}


def test_every_dashboard_query_has_data(scene: Scene) -> None:
    waiting = [question for question in QUESTIONS if not question.is_elsewhere]
    assert len(waiting) > 60

    def all_answered() -> bool:
        waiting[:] = [one for one in waiting if not is_answered(scene.prometheus, one.expr)]
        return not waiting

    try:
        assert wait_until(all_answered)
    finally:
        assert waiting == []


def is_answered(prometheus: Prometheus, expr: str) -> bool:
    """Check that the result has series with numbers."""
    return any(series["value"][1] != "NaN" for series in prometheus.value(expr))


def test_only_envoy_and_probe_queries_have_no_data(
    scene: Scene,
) -> None:
    absent = [question for question in QUESTIONS if question.is_elsewhere]
    assert len(absent) == len(ELSEWHERE)
    for question in absent:
        assert scene.prometheus.value(question.expr) == []
        assert re.search("envoy_|probe_", question.expr)


def test_dashboard_variables_have_values(scene: Scene) -> None:
    document = json.loads((ROOT / "deploy/grafana/json/overview.json").read_text())
    asked = {
        variable["name"]: re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        for variable in document["templating"]["list"]
        if variable["type"] == "query"
    }
    ports = {f"{host}:{port}" for host, port in (server.address for server in scene.servers)}
    wanted = {"job": {"potoo"}, "instance": ports, "model": {"colours", "loudest"}}
    found = dict[str, set[str]]()

    def all_are_found() -> bool:
        for name, question in asked.items():
            assert question
            series = scene.prometheus.value(with_all_chosen(question[1], RATE_INTERVAL))
            found[name] = {one["metric"][question[2]] for one in series}
        return found == wanted

    try:
        assert wait_until(all_are_found)  # one evaluation may follow a late scrape
    finally:
        assert found == wanted


def test_every_rule_is_evaluated_without_error(scene: Scene) -> None:
    def rules() -> list[Any]:
        groups = scene.prometheus.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    assert wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()))
    found = rules()
    assert {rule["name"] for rule in found} >= set(ALERTS)
    assert [(rule["name"], rule.get("lastError")) for rule in found if rule["health"] != "ok"] == []


def test_runbook_queries_are_valid(scene: Scene) -> None:
    asked = 0
    for page in RUNBOOKS.glob("*.md"):
        for block in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL):
            for query in block.strip().splitlines():
                scene.prometheus.value(query)  # raises if the query is invalid
                asked += 1
    assert asked > 10


def test_broken_version_fires_an_alert_naming_the_model(scene: Scene) -> None:
    # Healthy servers fire only the alert that always fires, however many invalid calls arrive.
    assert wait_until(lambda: "Watchdog" in firing(scene.prometheus))
    assert set(firing(scene.prometheus)) - OF_A_SLOW_MACHINE == {"Watchdog"}
    folder = publish(scene.models, 3, b"no model")
    assert wait_until(lambda: "PotooModelLoadFailed" in firing(scene.prometheus))
    alert = firing(scene.prometheus)["PotooModelLoadFailed"]
    assert alert["labels"]["model"] == "colours"
    assert "version of colours failed its checks" in alert["annotations"]["description"]
    shutil.rmtree(folder)


def test_all_targets_are_scraped_without_complaints(scene: Scene) -> None:
    well = [("potoo", "up", ""), ("potoo", "up", ""), ("prometheus", "up", "")]
    found = list[tuple[str, str, str]]()

    def all_are_well() -> bool:
        targets = scene.prometheus.get("targets")["activeTargets"]
        found[:] = sorted(
            (one["labels"]["job"], one["health"], one["lastError"]) for one in targets
        )
        return found == well

    try:
        assert wait_until(all_are_well)  # one evaluation may follow a late scrape
    finally:
        assert found == well
    for kind in ("out_of_order", "duplicate_timestamp", "out_of_bounds"):
        ever = f"max_over_time(prometheus_target_scrapes_sample_{kind}_total[1h])"
        (seen,) = scene.prometheus.value(ever)
        assert seen["value"][1] == "0"
    assert "level=error" not in scene.prometheus.log.read_text()
    assert "level=warn" not in scene.prometheus.log.read_text()
